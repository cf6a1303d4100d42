"""Carries out the coordinator's effects by plain calls; a client's answer is there when the call returns."""

from collections import deque
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pslgs.coordination import effects as do
from pslgs.coordination import events as told
from pslgs.coordination.coordinator import Coordinator
from pslgs.coordination.settings import Settings
from pslgs.coordination.snapshot import CoordinatorState
from pslgs.data.local import LocalDataset
from pslgs.training.client_step import ClientStep
from pslgs.training.evaluation import Score, score_smashed
from pslgs.training.server_step import ServerStep
from pslgs.training.slices import slice_rows
from pslgs.training.task import Task
from pslgs.training.vectors import load_vector


@dataclass(frozen=True, slots=True, eq=False)
class VirtualClient:
    """A client without a process of its own.

    Attributes:
        training: Its training samples.
        evaluation: Its evaluation samples; None where it has none.
    """

    training: LocalDataset
    evaluation: LocalDataset | None = None


class InProcessTraining:
    """One job in one process.

    Attributes:
        server: Both parts and their optimizer.
        coordinator: The same that leads a distributed run.
        finished: How it ended; None while it has not.
        losses: Of the committed steps.
    """

    def __init__(
        self,
        task: Task,
        settings: Settings,
        clients: Mapping[str, VirtualClient],
        state: CoordinatorState | None = None,
    ) -> None:
        self.server = ServerStep(task, torch.device("cpu"))
        self.coordinator = Coordinator(settings, now=0.0, state=state)
        self.finished: do.Finish | None = None
        self.losses: list[float] = []
        self.scores: dict[str, Score] = {}
        self._task = task
        self._clients = dict(clients)
        shared = deepcopy(task.network.client_part)
        self._client_task = replace(task, network=replace(task.network, client_part=shared))
        self._events: deque[told.Event] = deque()
        self._steps: dict[str, ClientStep] = {}
        self._loaded: told.Ticket | None = None
        self._smashed: dict[str, tuple[Tensor, Tensor]] = {}
        self._cut_gradient = torch.empty(0)
        self._loss = float("nan")

    def run(self, on_effect: Callable[[do.Effect], None] = lambda _: None) -> do.Finish:
        """Train to the end; ``on_effect`` sees each effect before it is carried out.

        Raises:
            LookupError: the coordinator waits for something that cannot come in one process.
        """
        for session, (name, client) in enumerate(self._clients.items()):
            held = client.evaluation.samples if client.evaluation else 0
            self._events.append(told.Joined(name, session, client.training.samples, held))
        while self._events and self.finished is None:
            for effect in self.coordinator.handle(self._events.popleft(), now=0.0):
                on_effect(effect)
                self._perform(effect)
        if self.finished is None:
            raise LookupError(self.coordinator.lacking() or "nothing is left to do")
        return self.finished

    def _perform(self, effect: do.Effect) -> None:
        match effect:
            case do.OrderForward(ticket, epoch, share):
                self._forward(ticket, epoch, share)
            case do.RunServerStep(ticket, _, shares):
                parts = [self._smashed.pop(share.client) for share in shares]
                smashed, labels = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
                result = self.server.run(smashed, labels, ticket.step)
                self._loss, self._cut_gradient = result.loss, result.cut_gradient
                self._events.append(told.ServerStepDone(ticket))
            case do.SendCutGradients(ticket, shares):
                rows = torch.split(self._cut_gradient, [share.samples for share in shares])
                for share, gradient in zip(shares, rows, strict=True):
                    self._backward(ticket, share, gradient)
            case do.ApplyUpdate(ticket, epoch, shares):
                self.server.apply((self._steps.pop(share.client).gradient() for share in shares), epoch)
                self.losses.append(self._loss)
                self._events.append(told.UpdateDone(ticket))
            case do.OrderEvaluation(ticket, share):
                self._evaluate(ticket, share)
            case do.SaveCheckpoint():
                self._events.append(told.CheckpointDone())
            case do.Finish():
                self.finished = effect

    def _forward(self, ticket: told.Ticket, epoch: int, share: do.Share) -> None:
        self._load(ticket)
        step = self._steps[share.client] = ClientStep(self._client_task, share.client)
        batch = self._clients[share.client].training.batch(epoch, share.offset, share.samples)
        step.begin(epoch, share.offset)
        slices = slice_rows(share.samples, self._task.layout.bytes_per_sample)
        smashed = [step.forward(batch.inputs[first : first + rows]) for first, rows in slices]
        self._smashed[share.client] = torch.cat(smashed), self._task.objective.as_labels(batch.labels)
        self._events.append(told.SmashedDataReceived(share.client, ticket))

    def _backward(self, ticket: told.Ticket, share: do.Share, gradient: Tensor) -> None:
        for first, rows in slice_rows(share.samples, self._task.layout.bytes_per_sample):
            self._steps[share.client].backward(gradient[first : first + rows])
        self._events.append(told.ClientGradientReceived(share.client, ticket))

    def _evaluate(self, ticket: told.Ticket, share: do.Share) -> None:
        self._load(ticket)
        held = self._clients[share.client].evaluation
        if held is None:
            raise LookupError(f"client {share.client} has no evaluation data")
        batch = held.in_order(share.offset, share.samples)
        smashed = ClientStep(self._client_task, share.client).evaluate(batch.inputs)
        score = score_smashed(self._task, smashed, self._task.objective.as_labels(batch.labels))
        before = self.scores.get(share.client, Score()) if share.offset else Score()
        self.scores[share.client] = before + score
        self._events.append(told.EvaluationAnswered(share.client, ticket))

    def _load(self, ticket: told.Ticket) -> None:
        """Bring the shared copy of the client part up to date, once for all clients of an exchange."""
        if ticket != self._loaded:
            load_vector(self._client_task.network.client_part, self.server.parameters())
            self._loaded = ticket
