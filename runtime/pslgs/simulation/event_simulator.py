"""A world without network: its clock jumps from event to event, its clients answer when they are meant to."""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import replace

from pslgs.coordination import effects as do
from pslgs.coordination import events as told
from pslgs.coordination.coordinator import MOST_TICK_SECONDS, Coordinator
from pslgs.coordination.numeric_faults import NumericFault
from pslgs.coordination.settings import Settings
from pslgs.coordination.snapshot import CoordinatorState
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
        clients: Sequence[told.Joined],
        times: ClientTimeModel,
        state: CoordinatorState | None = None,
    ) -> None:
        """Take what the clients say of themselves; their sessions are numbered here."""
        self.now = 0.0
        self.coordinator = Coordinator(settings, self.now, state)
        self._seed = settings.seed
        self._clients = {client.client: client for client in clients}
        self._times = times
        self._queue: list[tuple[float, int, told.Event]] = []
        self._events = 0
        self._sessions = 0
        self._absent: list[str] = []
        self._finished: do.Finish | None = None

    def run(self, perform: Callable[[do.Effect], NumericFault | None]) -> do.Finish:
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
                self._later(MOST_TICK_SECONDS, told.Tick())  # until the coordinator's patience is over
            self.now, _, event = heapq.heappop(self._queue)
            self._tell(event, perform)
        return self._finished

    def _tell(self, event: told.Event, perform: Callable[[do.Effect], NumericFault | None]) -> None:
        """Tell the coordinator of an event, and carry out what it says; drawing takes no virtual time."""
        for effect in self.coordinator.handle(event, self.now):
            if isinstance(effect, do.DrawSchedule):
                self._tell(told.ScheduleDrawn(effect.draw.draw_id, effect.draw.run()), perform)
                continue
            fault = perform(effect)
            if fault is not None and isinstance(effect, do.RunServerStep | do.ApplyUpdate):
                self._later(0, told.NumericFaultFound(effect.ticket, fault))
            else:
                self._answer(effect)

    def _answer(self, effect: do.Effect) -> None:
        match effect:
            case do.OrderForward(ticket, _, share):
                self._answer_order(ticket, share)
            case do.RunServerStep(ticket, _, shares):
                samples = sum(share.samples for share in shares)
                self._later(self._times.server_seconds(samples), told.ServerStepDone(ticket))
            case do.SendCutGradients(ticket, shares):
                for share in shares:
                    seconds = self._times.client(share.client, share.samples).until_gradient
                    self._later(seconds, told.ClientGradientReceived(share.client, ticket))
            case do.ApplyUpdate(ticket):
                self._later(0, told.UpdateDone(ticket))
                self._return_absent()
            case do.SaveCheckpoint():
                self._later(0, told.CheckpointDone())
            case _:
                self._answer_evaluation(effect)
                self._note(effect)

    def _answer_evaluation(self, effect: do.Effect) -> None:
        match effect:
            case do.OrderEvaluation(ticket, share):
                self._later(0, told.EvaluationAnswered(share.client, ticket))
            case do.ScoreEvaluation(ticket, client):
                self._later(0, told.EvaluationScored(client, ticket))
            case do.EvaluateAtServer(ticket):
                self._later(0, told.ServerEvaluationDone(ticket))

    def _note(self, effect: do.Effect) -> None:
        match effect:
            case do.ReportLost(client, kind) if kind != "non_finite":  # its process has ended
                self._absent.append(client)
            case do.Finish():
                self._finished = effect

    def _answer_order(self, ticket: told.Ticket, share: do.Share) -> None:
        seconds = self._times.client(share.client, share.samples).until_smashed_data
        if self._loses(share.client, ticket):
            self._later(seconds, told.Left(share.client, share.session, LOST))
        else:
            self._later(seconds, told.SmashedDataReceived(share.client, ticket))

    def _loses(self, client: str, ticket: told.Ticket) -> bool:
        probability = self._times.dropout(client)
        if not probability:
            return False
        rng = generator(self._seed, Purpose.VIRTUAL_LOSS, ticket.step, ticket.attempt, client_key(client))
        return bool(rng.random() < probability)

    def _return_absent(self) -> bool:
        absent, self._absent = self._absent, []
        self._join(absent)
        return bool(absent)

    def _join(self, clients: Sequence[str]) -> None:
        for client in clients:
            self._sessions += 1
            self._later(0, replace(self._clients[client], session=self._sessions))

    def _later(self, seconds: float, event: told.Event) -> None:
        """Have an event happen ``seconds`` from now; of events at one time the one made first comes first."""
        self._events += 1
        heapq.heappush(self._queue, (self.now + seconds, self._events, event))
