"""A world without network: its clock jumps from event to event, its clients answer when they are meant to."""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import replace

from pslgs.coordination import messages
from pslgs.coordination.coordinator import MOST_TICK_SECONDS, Coordinator
from pslgs.coordination.numeric_faults import NumericFault
from pslgs.coordination.settings import Settings
from pslgs.coordination.state import CoordinatorState
from pslgs.costs.time_model import ClientTimeModel
from pslgs.sampling.randomness import Purpose, client_key, generator

LOST = "it was lost, as its profile has it"


class EventSimulator:
    """Leads the real coordinator through a job.

    A client whose profile loses it in a step goes when its smashed data would have come, and is back when
    the step is done at last; the coordinator abandons and draws again as for any lost client.

    Attributes:
        coordinator: The same that leads a distributed run.
        now: Virtual time in seconds.
    """

    def __init__(
        self,
        settings: Settings,
        clients: Sequence[messages.Joined],
        times: ClientTimeModel,
        state: CoordinatorState | None = None,
    ) -> None:
        """Take what the clients say of themselves; their sessions are numbered here."""
        self.now = 0.0
        self.coordinator = Coordinator(settings, self.now, state)
        self._seed = settings.seed
        self._clients = {client.client: client for client in clients}
        self._times = times
        self._queue: list[tuple[float, int, messages.Event]] = []
        self._events = 0
        self._sessions = 0
        self._absent: list[str] = []
        self._finished: messages.Finish | None = None

    def run(self, perform: Callable[[messages.Effect], NumericFault | None]) -> messages.Finish:
        """Lead the job to its end; ``perform`` carries out each effect, and its answer comes by itself.

        If ``perform`` returns a fault, the coordinator learns of that instead.

        Raises:
            LookupError: the coordinator waits for something that cannot come.
        """
        self._join(list(self._clients))
        while self._finished is None:
            if not self._queue and not self._return_absent():
                if not self.coordinator.lacking():
                    raise LookupError("nothing is left to do")
                self._later(MOST_TICK_SECONDS, messages.Tick())  # until the coordinator's patience is over
            self.now, _, event = heapq.heappop(self._queue)
            self._post(event, perform)
        return self._finished

    def _post(self, event: messages.Event, perform: Callable[[messages.Effect], NumericFault | None]) -> None:
        """Tell the coordinator of an event, and carry out what it says; drawing takes no virtual time."""
        for effect in self.coordinator.handle(event, self.now):
            if isinstance(effect, messages.DrawSchedule):
                self._post(messages.ScheduleDrawn(effect.draw.draw_id, effect.draw.run()), perform)
                continue
            fault = perform(effect)
            if fault is not None and isinstance(effect, messages.RunServerStep | messages.ApplyUpdate):
                self._later(0, messages.NumericFaultFound(effect.exchange, fault))
            else:
                self._answer(effect)

    def _answer(self, effect: messages.Effect) -> None:
        match effect:
            case messages.OrderForward(exchange, _, local_batch):
                self._answer_order(exchange, local_batch)
            case messages.RunServerStep(exchange, _, local_batches):
                samples = sum(local_batch.samples for local_batch in local_batches)
                self._later(self._times.server_seconds(samples), messages.ServerStepDone(exchange))
            case messages.SendCutGradients(exchange, local_batches):
                for local_batch in local_batches:
                    seconds = self._times.client(local_batch.client, local_batch.samples).until_gradient
                    self._later(seconds, messages.ClientGradientReceived(local_batch.client, exchange))
            case messages.ApplyUpdate(exchange):
                self._later(0, messages.UpdateDone(exchange))
                self._return_absent()
            case messages.SaveCheckpoint():
                self._later(0, messages.CheckpointDone())
            case _:
                self._answer_evaluation(effect)
                self._note(effect)

    def _answer_evaluation(self, effect: messages.Effect) -> None:
        match effect:
            case messages.OrderEvaluation(exchange, local_batch):
                self._later(0, messages.EvaluationAnswered(local_batch.client, exchange))
            case messages.ScoreEvaluation(exchange, client):
                self._later(0, messages.EvaluationScored(client, exchange))
            case messages.EvaluateAtServer(exchange):
                self._later(0, messages.ServerEvaluationDone(exchange))

    def _note(self, effect: messages.Effect) -> None:
        match effect:
            case messages.ReportLost(client, kind) if kind != "non_finite":  # its process has ended
                self._absent.append(client)
            case messages.Finish():
                self._finished = effect

    def _answer_order(self, exchange: messages.ExchangeId, local_batch: messages.LocalBatch) -> None:
        seconds = self._times.client(local_batch.client, local_batch.samples).until_smashed_data
        if self._loses(local_batch.client, exchange):
            self._later(seconds, messages.Left(local_batch.client, local_batch.session, LOST))
        else:
            self._later(seconds, messages.SmashedDataReceived(local_batch.client, exchange))

    def _loses(self, client: str, exchange: messages.ExchangeId) -> bool:
        probability = self._times.dropout(client)
        if not probability:
            return False
        rng = generator(self._seed, Purpose.VIRTUAL_LOSS, exchange.step, exchange.attempt, client_key(client))
        return bool(rng.random() < probability)

    def _return_absent(self) -> bool:
        absent, self._absent = self._absent, []
        self._join(absent)
        return bool(absent)

    def _join(self, clients: Sequence[str]) -> None:
        for client in clients:
            self._sessions += 1
            self._later(0, replace(self._clients[client], session=self._sessions))

    def _later(self, seconds: float, event: messages.Event) -> None:
        """Have an event happen ``seconds`` from now; of events at one time the one made first comes first."""
        self._events += 1
        heapq.heappush(self._queue, (self.now + seconds, self._events, event))
