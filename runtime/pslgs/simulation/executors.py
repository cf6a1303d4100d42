"""Carries out a job's effects with tensors: all clients share one client part and one dataset."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pslgs.coordination import effects as do
from pslgs.coordination.events import Ticket
from pslgs.coordination.numeric_faults import NumericFault
from pslgs.data.local import LocalDataset
from pslgs.sampling.randomness import Purpose, client_key, generator
from pslgs.simulation.evaluator import CodecRoundtrip, Evaluator, Recalibration
from pslgs.simulation.outcomes import Outcome, StepOutcome
from pslgs.simulation.setup import AS_TORCH_IS_SET, Threads, VirtualClient, on_cores
from pslgs.spec.transport import Compression
from pslgs.splitting.split import SplitNetwork
from pslgs.training.client_step import ClientStep
from pslgs.training.local_server_model import LocalServerModel
from pslgs.training.numeric_check import CheckedSteps
from pslgs.training.slices import slice_rows
from pslgs.training.task import Task
from pslgs.training.vectors import load_vector

T = TypeVar("T")


class TrainingExecutor:
    """Trains and evaluates.  Memory and time of a step grow with its active clients, not with all.

    Attributes:
        server: Both parts and their optimizer.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a server and its clients are given in all
        self,
        task: Task,
        network: SplitNetwork,
        clients: Mapping[str, VirtualClient],
        evaluation: LocalDataset | None = None,
        evaluation_range: int = 128,
        compression: Compression = Compression.NONE,
        threads: Threads = AS_TORCH_IS_SET,
        recalibration_batches: int = 0,
    ) -> None:
        """Take what is trained, and on what.

        Args:
            task: The definition of the training.
            network: The network; trained in place.
            clients: By name.
            evaluation: The server's own evaluation samples.
            evaluation_range: How many of them are evaluated at a time; the global batch size.
            compression: At the cut, with the same loss as over a wire.
            threads: Of both sides.
            recalibration_batches: See `SimulationOptions`.
        """
        self.server = LocalServerModel(task, network, torch.device("cpu"))
        self._checked = CheckedSteps(self.server)
        self._task = task
        self._clients = clients
        self._threads = threads
        self._client_part = deepcopy(network.client_part)
        self._crossing = CodecRoundtrip(task, compression)
        self._measuring = Evaluator(
            task,
            self.server,
            {name: client.evaluation for name, client in clients.items()},
            evaluation,
            evaluation_range,
            self._crossing,
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
        self._loaded: Ticket | None = None
        self._smashed: dict[str, tuple[Tensor, Tensor]] = {}
        self._cut_gradient = torch.empty(0)
        self._labels = torch.empty(0)
        self._loss = float("nan")

    def perform(self, effect: do.Effect) -> Outcome | None:
        """See `Executor`."""
        match effect:
            case do.OrderForward(ticket, epoch, share):
                self._at_client(lambda: self._forward(ticket, epoch, share))
            case do.RunServerStep(ticket, _, shares):
                return self._at_server(lambda: self._run(ticket, shares))
            case do.SendCutGradients(_, shares):
                self._at_client(lambda: self._backward(shares))
            case do.ApplyUpdate(ticket, epoch, shares):
                return self._at_server(lambda: self._apply(ticket, epoch, shares))
            case do.AbandonAttempt():
                self._abandon()
            case _:
                return self._measuring.perform(effect)
        return None

    def _forward(self, ticket: Ticket, epoch: int, share: do.Share) -> None:
        self._load(ticket)
        step = self._steps[share.client] = ClientStep(self._task, self._client_part, share.client)
        batch = self._clients[share.client].training.batch(epoch, share.offset, share.samples)
        step.begin(epoch, share.offset)
        slices = slice_rows(share.samples, self._task.layout.bytes_per_sample)
        smashed = [self._crossing(step.forward(batch.inputs[first : first + rows])) for first, rows in slices]
        self._smashed[share.client] = torch.cat(smashed), self._task.objective.as_labels(batch.labels)

    def _run(self, ticket: Ticket, shares: tuple[do.Share, ...]) -> NumericFault | None:
        parts = {share.client: self._smashed.pop(share.client) for share in shares}
        smashed = {client: rows for client, (rows, _) in parts.items()}
        labels = {client: rows for client, (_, rows) in parts.items()}
        self._labels = torch.cat([*labels.values()])
        batch = torch.cat([*smashed.values()]), self._labels
        result = self._checked.run(smashed, labels, batch, ticket.step)
        if isinstance(result, NumericFault):
            return result
        self._loss, self._cut_gradient = result.loss, result.cut_gradient
        return None

    def _backward(self, shares: tuple[do.Share, ...]) -> None:
        rows = torch.split(self._cut_gradient, [share.samples for share in shares])
        for share, gradient in zip(shares, rows, strict=True):
            for first, count in slice_rows(share.samples, self._task.layout.bytes_per_sample):
                self._steps[share.client].backward(self._crossing(gradient[first : first + count]))

    def _apply(self, ticket: Ticket, epoch: int, shares: tuple[do.Share, ...]) -> StepOutcome | NumericFault:
        gradients = {share.client: self._steps.pop(share.client).gradient() for share in shares}
        rate = self._checked.apply(gradients, epoch, ticket.step)
        if isinstance(rate, NumericFault):
            return rate
        classes = self._task.objective.class_numbers(self._labels)
        return StepOutcome(self._loss, rate, classes.numpy())

    def _abandon(self) -> None:
        self.server.abandon()
        self._steps.clear()
        self._smashed.clear()

    def _load(self, ticket: Ticket) -> None:
        """Bring the shared copy of the client part up to date, once for all clients of an exchange."""
        if ticket != self._loaded:
            load_vector(self._client_part, self.server.parameters())
            self._loaded = ticket

    def _at_client(self, compute: Callable[[], T]) -> T:
        return on_cores(self._threads.client, compute)

    def _at_server(self, compute: Callable[[], T]) -> T:
        return on_cores(self._threads.server, compute)


NOTHING = float("nan")


class LabelExecutor:
    """Reads labels in the same order as a client that trains, so that batches are those of a training."""

    def __init__(self, labels: Mapping[str, NDArray[np.int64]], seed: int) -> None:
        """Take each client's labels, as class numbers, and the job's seed."""
        self._labels = labels
        self._seed = seed
        self._orders: dict[str, NDArray[np.int64]] = {}
        self._epoch = 0

    def perform(self, effect: do.Effect) -> Outcome | None:
        """See `Executor`."""
        if not isinstance(effect, do.ApplyUpdate):
            return None
        if effect.epoch != self._epoch:
            self._orders, self._epoch = {}, effect.epoch
        classes = [
            self._in_order(share.client)[share.offset : share.offset + share.samples]
            for share in effect.shares
        ]
        return StepOutcome(NOTHING, NOTHING, np.concatenate(classes))

    def _in_order(self, client: str) -> NDArray[np.int64]:
        if client not in self._orders:
            rng = generator(self._seed, Purpose.LOCAL_ORDER, self._epoch, client_key(client))
            labels = self._labels[client]
            self._orders[client] = labels[rng.permutation(len(labels))]
        return self._orders[client]
