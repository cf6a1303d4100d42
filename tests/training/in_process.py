"""A training in one process, for a network and data that a test made."""

from collections.abc import Callable, Mapping

from pslgs.coordination.coordinator import Coordinator
from pslgs.coordination.messages import Effect, Finish, Joined
from pslgs.coordination.numeric_faults import NumericFault
from pslgs.coordination.settings import Settings
from pslgs.coordination.state import CoordinatorState
from pslgs.costs.time_model import ClientTimeModel
from pslgs.data.client_dataset import ClientDataset
from pslgs.simulation.event_simulator import EventSimulator
from pslgs.simulation.executors import TrainingExecutor
from pslgs.simulation.outcomes import EvaluationOutcome, StepOutcome
from pslgs.simulation.setup import VirtualClient
from pslgs.splitting.split_network import SplitNetwork
from pslgs.training.local_server_model import LocalServerModel
from pslgs.training.setup import TrainingSetup


class InProcessTraining:
    """One job in one process; ``losses`` are those of the committed steps."""

    def __init__(
        self,
        task: TrainingSetup,
        network: SplitNetwork,
        settings: Settings,
        clients: Mapping[str, VirtualClient],
        state: CoordinatorState | None = None,
        *,
        evaluation: ClientDataset | None = None,
    ) -> None:
        self.losses: list[float] = []
        self.evaluations: list[float] = []
        self._executor = TrainingExecutor(task, network, clients, evaluation)
        joined = [
            Joined(name, 0, client.training.samples, client.evaluation.samples if client.evaluation else 0)
            for name, client in clients.items()
        ]
        self._simulator = EventSimulator(settings, joined, ClientTimeModel(), state)

    @property
    def server(self) -> LocalServerModel:
        return self._executor.server

    @property
    def coordinator(self) -> Coordinator:
        return self._simulator.coordinator

    def run(self, on_effect: Callable[[Effect], None] = lambda _: None) -> Finish:
        """Train to the end; ``on_effect`` sees each effect before it is carried out."""

        def perform(effect: Effect) -> NumericFault | None:
            on_effect(effect)
            outcome = self._executor.perform(effect)
            if isinstance(outcome, StepOutcome):
                self.losses.append(outcome.loss)
            if isinstance(outcome, EvaluationOutcome):
                self.evaluations.append(outcome.total.loss)
            return outcome if isinstance(outcome, NumericFault) else None

        return self._simulator.run(perform)
