"""Executors of a simulation: one trains with tensors, one only reads labels."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Final, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pslgs.coordination import messages
from pslgs.coordination.messages import ExchangeId
from pslgs.coordination.numeric_faults import NumericFault
from pslgs.data.client_dataset import ClientDataset
from pslgs.model_inputs import converted, rows_of
from pslgs.sampling.randomness import Purpose, client_key, generator
from pslgs.simulation.evaluator import CodecRoundtrip, Evaluator, Recalibration
from pslgs.simulation.outcomes import EvaluationOutcome, Outcome, StepOutcome
from pslgs.simulation.setup import AS_TORCH_IS_SET, Threads, VirtualClient, on_cores
from pslgs.spec.deployment import Compression
from pslgs.splitting.split_network import SplitNetwork
from pslgs.training.client_step import ClientStep
from pslgs.training.dataset_check import pooled_label_counts
from pslgs.training.local_server_model import LocalServerModel
from pslgs.training.numeric_check import CheckedSteps
from pslgs.training.setup import TrainingSetup
from pslgs.training.tensors import floating_tensors, load_vector, slice_rows

CPU: Final = torch.device("cpu")

T = TypeVar("T")


class TrainingExecutor:
    """Trains and evaluates; all clients share one copy of the client part.

    Memory and time of a step grow with its active clients, not with all clients.

    Attributes:
        server: The server's model: both parts and their optimizer.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a server and its clients are given in all
        self,
        task: TrainingSetup,
        network: SplitNetwork,
        clients: Mapping[str, VirtualClient],
        evaluation: ClientDataset | None = None,
        evaluation_range: int = 128,
        compression: Compression = Compression.NONE,
        threads: Threads = AS_TORCH_IS_SET,
        recalibration_batches: int = 0,
        device: torch.device = CPU,
    ) -> None:
        """Create the executor of one job.

        Args:
            task: The definition of the training.
            network: The network; trained in place.
            clients: Client -> its data.
            evaluation: Evaluation samples of the server; None if it has none.
            evaluation_range: Maximum number of samples that are evaluated at a time.
            compression: Compression of what crosses the cut, with the same rounding as in a run.
            threads: Cores of the server and of each client.
            recalibration_batches: See `SimulationOptions`.
            device: The device of both parts and of the batches.
        """
        self.server = LocalServerModel(task, network, device)
        self._device = device
        self._checked = CheckedSteps(self.server)
        self.server.begin(
            pooled_label_counts(task.objective, [client.training for client in clients.values()])
        )
        self._task = task
        self._clients = clients
        self._threads = threads
        self._client_part = deepcopy(network.client_part)
        self._client_tensors = floating_tensors(self._client_part)
        self._roundtrip = CodecRoundtrip(task, compression)
        self._evaluator = Evaluator(
            task,
            self.server,
            {name: client.evaluation for name, client in clients.items()},
            evaluation,
            evaluation_range,
            self._roundtrip,
            Recalibration(
                task,
                self.server,
                {name: client.training for name, client in clients.items()},
                evaluation_range,
                recalibration_batches,
            ),
            threads,
        )
        self._steps: dict[str, ClientStep] = {}
        self._loaded: ExchangeId | None = None
        self._smashed: dict[str, tuple[Tensor, Tensor]] = {}
        self._cut_gradient = torch.empty(0)
        self._labels = torch.empty(0)
        self._loss = float("nan")

    def perform(self, effect: messages.Effect) -> Outcome | None:
        """See `Executor`."""
        match effect:
            case messages.OrderForward(exchange, epoch, local_batch):
                self._at_client(lambda: self._forward(exchange, epoch, local_batch))
            case messages.RunServerStep(exchange, _, local_batches):
                return self._at_server(lambda: self._run(exchange, local_batches))
            case messages.SendCutGradients(_, local_batches):
                self._at_client(lambda: self._backward(local_batches))
            case messages.ApplyUpdate():
                return self._at_server(lambda: self._apply(effect))
            case messages.AbandonAttempt():
                self._abandon()
            case _:
                return self._evaluate(effect)
        return None

    def _evaluate(self, effect: messages.Effect) -> EvaluationOutcome | None:
        outcome = self._evaluator.perform(effect)
        if outcome is not None:
            self.server.observe_evaluation(outcome.total)
        return outcome

    def _forward(self, exchange: ExchangeId, epoch: int, local_batch: messages.LocalBatch) -> None:
        self._load(exchange)
        step = self._steps[local_batch.client] = ClientStep(self._task, self._client_part, local_batch.client)
        batch = self._clients[local_batch.client].training.batch(
            epoch, local_batch.offset, local_batch.samples
        )
        step.begin(epoch, local_batch.offset)
        inputs = converted(batch.inputs, None, self._device)
        slices = slice_rows(local_batch.samples, self._task.layout.bytes_per_sample)
        smashed = [self._roundtrip(step.forward(rows_of(inputs, first, rows))) for first, rows in slices]
        self._smashed[local_batch.client] = torch.cat(smashed), self._task.objective.as_labels(batch.labels)

    def _run(
        self, exchange: ExchangeId, local_batches: tuple[messages.LocalBatch, ...]
    ) -> NumericFault | None:
        parts = {local_batch.client: self._smashed.pop(local_batch.client) for local_batch in local_batches}
        smashed = {client: rows for client, (rows, _) in parts.items()}
        labels = {client: rows for client, (_, rows) in parts.items()}
        self._labels = torch.cat([*labels.values()])
        batch = torch.cat([*smashed.values()]), self._labels
        result = self._checked.run(smashed, labels, batch, exchange.step)
        if isinstance(result, NumericFault):
            return result
        self._loss, self._cut_gradient = result.loss, result.cut_gradient.to(self._device)
        return None

    def _backward(self, local_batches: tuple[messages.LocalBatch, ...]) -> None:
        rows = torch.split(self._cut_gradient, [local_batch.samples for local_batch in local_batches])
        for local_batch, gradient in zip(local_batches, rows, strict=True):
            for first, count in slice_rows(local_batch.samples, self._task.layout.bytes_per_sample):
                self._steps[local_batch.client].backward(self._roundtrip(gradient[first : first + count]))

    def _apply(self, effect: messages.ApplyUpdate) -> StepOutcome | NumericFault:
        gradients = {
            local_batch.client: self._steps.pop(local_batch.client).gradient()
            for local_batch in effect.local_batches
        }
        rate = self._checked.apply(gradients, effect.epoch, effect.exchange.step, effect.position)
        if isinstance(rate, NumericFault):
            return rate
        classes = self._task.objective.class_numbers(self._labels)
        return StepOutcome(self._loss, rate, classes.numpy())

    def _abandon(self) -> None:
        self.server.abandon()
        self._steps.clear()
        self._smashed.clear()

    def _load(self, exchange: ExchangeId) -> None:
        """Load the current parameters into the shared client part, once per exchange."""
        if exchange != self._loaded:
            load_vector(self._client_tensors, self.server.parameters())
            self._loaded = exchange

    def _at_client(self, compute: Callable[[], T]) -> T:
        return on_cores(self._threads.client, compute)

    def _at_server(self, compute: Callable[[], T]) -> T:
        return on_cores(self._threads.server, compute)


NOT_TRAINED: Final = float("nan")


class LabelExecutor:
    """Reads the labels of the batches in the order in which a client that trains reads its samples."""

    def __init__(self, labels: Mapping[str, NDArray[np.int64]], seed: int) -> None:
        """Create the executor for client -> class of each sample, and the job's seed."""
        self._labels = labels
        self._seed = seed
        self._orders: dict[str, NDArray[np.int64]] = {}
        self._epoch = 0

    def perform(self, effect: messages.Effect) -> Outcome | None:
        """See `Executor`."""
        if not isinstance(effect, messages.ApplyUpdate):
            return None
        if effect.epoch != self._epoch:
            self._orders, self._epoch = {}, effect.epoch
        classes = [
            self._in_order(local_batch.client)[local_batch.offset : local_batch.offset + local_batch.samples]
            for local_batch in effect.local_batches
        ]
        return StepOutcome(NOT_TRAINED, NOT_TRAINED, np.concatenate(classes))

    def _in_order(self, client: str) -> NDArray[np.int64]:
        if client not in self._orders:
            rng = generator(self._seed, Purpose.LOCAL_ORDER, self._epoch, client_key(client))
            labels = self._labels[client]
            self._orders[client] = labels[rng.permutation(len(labels))]
        return self._orders[client]
