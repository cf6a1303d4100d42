"""Carries out a job's effects with tensors: all clients share one client part and one dataset."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from pslgs.coordination import effects as do
from pslgs.coordination.events import Ticket
from pslgs.data.local import LocalDataset
from pslgs.simulation.outcomes import EvaluationOutcome, StepOutcome
from pslgs.spec.transport import Compression
from pslgs.training.client_step import ClientStep
from pslgs.training.evaluation import Score, score_samples, score_smashed
from pslgs.training.server_step import ServerStep
from pslgs.training.slices import slice_rows
from pslgs.training.task import Task
from pslgs.training.vectors import load_vector
from pslgs.wire.codec import codec_for

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class VirtualClient:
    """A client without a process of its own.

    Attributes:
        training: Its training samples.
        evaluation: Its evaluation samples; None where it has none.
    """

    training: LocalDataset
    evaluation: LocalDataset | None = None


@dataclass(frozen=True, slots=True)
class Threads:
    """On how many cores the server and each client compute; it decides the last bits of their results."""

    server: int
    client: int


class Learning:
    """Trains and evaluates.  Memory and time of a step grow with its active clients, not with all.

    Attributes:
        server: Both parts and their optimizer.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a server and its clients are given in all
        self,
        task: Task,
        clients: Mapping[str, VirtualClient],
        evaluation: LocalDataset | None = None,
        evaluation_range: int = 128,
        compression: Compression = Compression.NONE,
        threads: Threads | None = None,
    ) -> None:
        """Take what is trained, and on what.

        Args:
            task: Its network is trained in place.
            clients: By name.
            evaluation: The server's own evaluation samples.
            evaluation_range: How many of them are evaluated at a time.
            compression: At the cut, with the same loss as over a wire.
            threads: None for those that torch is set to.
        """
        self.server = ServerStep(task, torch.device("cpu"))
        self._task = task
        self._clients = clients
        self._evaluation = evaluation
        self._range = evaluation_range
        self._compression = compression
        self._threads = threads
        shared = deepcopy(task.network.client_part)
        self._client_task = replace(task, network=replace(task.network, client_part=shared))
        self._codec = codec_for(compression, task.layout.features, task.layout.dtype)
        self._steps: dict[str, ClientStep] = {}
        self._loaded: Ticket | None = None
        self._smashed: dict[str, tuple[Tensor, Tensor]] = {}
        self._cut_gradient = torch.empty(0)
        self._labels = torch.empty(0)
        self._loss = float("nan")
        self._scores: dict[str, Score] = {}

    def perform(self, effect: do.Effect) -> StepOutcome | EvaluationOutcome | None:
        """See `Work`."""
        match effect:
            case do.OrderForward(ticket, epoch, share):
                self._at_client(lambda: self._forward(ticket, epoch, share))
            case do.RunServerStep(ticket, _, shares):
                self._at_server(lambda: self._run(ticket, shares))
            case do.SendCutGradients(_, shares):
                self._at_client(lambda: self._backward(shares))
            case do.ApplyUpdate(_, epoch, shares):
                return self._at_server(lambda: self._apply(epoch, shares))
            case do.AbandonAttempt():
                self._abandon()
            case do.OrderEvaluation(ticket, share):
                self._evaluate(ticket, share)
            case do.EvaluateAtServer():
                return self._at_server(self._evaluate_at_server)
            case do.ConcludeEvaluation():
                scores, self._scores = self._scores, {}
                in_order = dict(sorted(scores.items()))
                return EvaluationOutcome(sum(in_order.values(), Score()), in_order)
        return None

    def _forward(self, ticket: Ticket, epoch: int, share: do.Share) -> None:
        self._load(ticket)
        step = self._steps[share.client] = ClientStep(self._client_task, share.client)
        batch = self._clients[share.client].training.batch(epoch, share.offset, share.samples)
        step.begin(epoch, share.offset)
        slices = slice_rows(share.samples, self._task.layout.bytes_per_sample)
        smashed = [self._sent(step.forward(batch.inputs[first : first + rows])) for first, rows in slices]
        self._smashed[share.client] = torch.cat(smashed), self._task.objective.as_labels(batch.labels)

    def _run(self, ticket: Ticket, shares: tuple[do.Share, ...]) -> None:
        parts = [self._smashed.pop(share.client) for share in shares]
        smashed, self._labels = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        result = self.server.run(smashed, self._labels, ticket.step)
        self._loss, self._cut_gradient = result.loss, result.cut_gradient

    def _backward(self, shares: tuple[do.Share, ...]) -> None:
        rows = torch.split(self._cut_gradient, [share.samples for share in shares])
        for share, gradient in zip(shares, rows, strict=True):
            for first, count in slice_rows(share.samples, self._task.layout.bytes_per_sample):
                self._steps[share.client].backward(self._sent(gradient[first : first + count]))

    def _apply(self, epoch: int, shares: tuple[do.Share, ...]) -> StepOutcome:
        rate = self.server.apply((self._steps.pop(share.client).gradient() for share in shares), epoch)
        classes = self._task.objective.class_numbers(self._labels)
        return StepOutcome(self._loss, rate, classes.numpy())

    def _abandon(self) -> None:
        self.server.abandon()
        self._steps.clear()
        self._smashed.clear()

    def _evaluate(self, ticket: Ticket, share: do.Share) -> None:
        self._load(ticket)
        held = self._clients[share.client].evaluation
        if held is None:
            raise LookupError(f"client {share.client} has no evaluation data")
        batch = held.in_order(share.offset, share.samples)
        step = ClientStep(self._client_task, share.client)
        slices = slice_rows(share.samples, self._task.layout.bytes_per_sample)
        smashed = self._at_client(
            lambda: [self._sent(step.evaluate(batch.inputs[first : first + rows])) for first, rows in slices]
        )
        labels = self._task.objective.as_labels(batch.labels)
        score = self._at_server(lambda: score_smashed(self._task, torch.cat(smashed), labels))
        self._scores[share.client] = self._scores.get(share.client, Score()) + score

    def _evaluate_at_server(self) -> EvaluationOutcome:
        data = self._evaluation
        if data is None:
            raise LookupError("the server has no evaluation data")
        firsts = range(0, data.samples, self._range)
        scores = (
            score_samples(self._task, data, first, min(self._range, data.samples - first)) for first in firsts
        )
        return EvaluationOutcome(sum(scores, Score()), {})

    def _load(self, ticket: Ticket) -> None:
        """Bring the shared copy of the client part up to date, once for all clients of an exchange."""
        if ticket != self._loaded:
            load_vector(self._client_task.network.client_part, self.server.parameters())
            self._loaded = ticket

    def _sent(self, rows: Tensor) -> Tensor:
        """Return what arrives of rows (rows, features) at the other side of the cut."""
        if self._compression is Compression.NONE:
            return rows
        arrived = torch.empty(rows.shape, dtype=self._task.layout.dtype)
        buffer = self._codec.destination(arrived)
        buffer[:] = self._codec.encode(rows).cast("B")
        self._codec.decode(buffer, arrived)
        return arrived

    def _at_client(self, compute: Callable[[], T]) -> T:
        return _on(self._threads.client if self._threads else None, compute)

    def _at_server(self, compute: Callable[[], T]) -> T:
        return _on(self._threads.server if self._threads else None, compute)


def _on(threads: int | None, compute: Callable[[], T]) -> T:
    if threads is not None and threads != torch.get_num_threads():
        torch.set_num_threads(threads)
    return compute()
