"""A discrete-event simulation of clients and server around the real coordinator."""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import repeat
from typing import Final

from pslgs.coordination import messages
from pslgs.coordination.coordinator import MAX_TICK_SECONDS, Coordinator
from pslgs.coordination.numeric_faults import NumericFault
from pslgs.coordination.settings import Settings
from pslgs.coordination.state import CoordinatorState
from pslgs.costs.time_model import ClientTimeModel
from pslgs.sampling.randomness import Purpose, client_key, generator

Perform = Callable[[messages.Effect], NumericFault | float | None]
"""Carries out an effect; returns a fault, or the value of the chosen metric in an evaluation."""

LOST: Final = "it was lost, as its profile has it"


def replies(effect: messages.Effect, value: float | None = None) -> Iterator[messages.Event]:
    """Yield the events with which clients and a server that nothing disturbs answer an effect.

    Args:
        effect: The effect.
        value: Value of the chosen metric, if the effect ends an evaluation.
    """
    match effect:
        case messages.OrderForward(exchange, _, local_batch):
            yield messages.SmashedDataReceived(local_batch.client, exchange)
        case messages.RunServerStep(exchange):
            yield messages.ServerStepDone(exchange)
        case messages.SendCutGradients(exchange, local_batches):
            yield from (messages.ClientGradientReceived(each.client, exchange) for each in local_batches)
        case messages.ApplyUpdate(exchange):
            yield messages.UpdateDone(exchange)
        case messages.SaveCheckpoint():
            yield messages.CheckpointDone()
        case messages.OrderEvaluation(exchange, local_batch):
            yield messages.EvaluationAnswered(local_batch.client, exchange)
        case messages.ScoreEvaluation(exchange, client):
            yield messages.EvaluationScored(client, exchange)
        case messages.EvaluateAtServer(exchange):
            yield messages.ServerEvaluationDone(exchange, value)
        case messages.ConcludeEvaluation(exchange):
            yield messages.EvaluationConcluded(exchange, value)


class EventSimulator:
    """Runs a job with a virtual clock that jumps from one event to the next.

    A client that its profile loses in a step leaves when its smashed data would have arrived, and rejoins
    once the step is applied; the coordinator abandons the attempt and draws again as for any lost client.

    Attributes:
        coordinator: The coordinator, the same code as in a distributed run.
        now: Virtual time in seconds.
    """

    def __init__(
        self,
        settings: Settings,
        clients: Sequence[messages.Joined],
        times: ClientTimeModel,
        state: CoordinatorState | None = None,
    ) -> None:
        """Set up a simulation at virtual time 0.

        Args:
            settings: The coordinator's settings.
            clients: How each client joins; their sessions are numbered here.
            times: How long clients and server take.
            state: State of the coordinator to resume from.
        """
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

    def run(self, perform: Perform) -> messages.Finish:
        """Run the job to its end.

        Args:
            perform: Carries out each effect before its reply is scheduled.  If it returns a fault, the
                coordinator receives that instead of the reply; if a number, it is the value of the chosen
                metric in the evaluation that the effect ends.

        Raises:
            LookupError: the coordinator waits for an event that cannot happen.
        """
        self._join(list(self._clients))
        while self._finished is None:
            if not self._queue and not self._return_absent():
                if not self.coordinator.missing_requirement():
                    raise LookupError("nothing is left to do")
                self._later(MAX_TICK_SECONDS, messages.Tick())  # until the coordinator gives up waiting
            self.now, _, event = heapq.heappop(self._queue)
            self._post(event, perform)
        return self._finished

    def _post(self, event: messages.Event, perform: Perform) -> None:
        """Pass an event to the coordinator and carry out its effects; drawing takes no virtual time."""
        for effect in self.coordinator.handle(event, self.now):
            if isinstance(effect, messages.DrawSchedule):
                self._post(messages.ScheduleDrawn(effect.draw.draw_id, effect.draw.run()), perform)
                continue
            result = perform(effect)
            if not isinstance(result, NumericFault):
                self._answer(effect, result)
            elif isinstance(effect, messages.RunServerStep | messages.ApplyUpdate):
                self._later(0, messages.NumericFaultFound(effect.exchange, result))
            else:
                self._answer(effect)

    def _answer(self, effect: messages.Effect, value: float | None = None) -> None:
        events: Iterable[messages.Event] = replies(effect, value)
        if isinstance(effect, messages.OrderForward) and self._loses(effect):
            local_batch = effect.local_batch
            events = [messages.Left(local_batch.client, local_batch.session, LOST)]
        for event, seconds in zip(events, self._durations(effect), strict=False):
            self._later(seconds, event)
        self._note(effect)

    def _durations(self, effect: messages.Effect) -> Iterable[float]:
        """Return the virtual seconds until each of the replies to an effect."""
        match effect:
            case messages.OrderForward(_, _, local_batch):
                return [self._times.client(local_batch.client, local_batch.samples).until_smashed_data]
            case messages.RunServerStep(_, _, local_batches):
                return [self._times.server_seconds(sum(each.samples for each in local_batches))]
            case messages.SendCutGradients(_, local_batches):
                return [
                    self._times.client(each.client, each.samples).until_gradient for each in local_batches
                ]
            case _:
                return repeat(0.0)

    def _note(self, effect: messages.Effect) -> None:
        match effect:
            case messages.ApplyUpdate():
                self._return_absent()
            case messages.ReportLost(client, kind) if kind != "non_finite":  # its process has ended
                self._absent.append(client)
            case messages.Finish():
                self._finished = effect

    def _loses(self, order: messages.OrderForward) -> bool:
        client, exchange = order.local_batch.client, order.exchange
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
        """Schedule an event in ``seconds``; events at the same time happen in the order of these calls."""
        self._events += 1
        heapq.heappush(self._queue, (self.now + seconds, self._events, event))
