"""Progress of a training: what is committed, and which operation comes next."""

from pslgs.coordination.best_evaluation import BestEvaluation
from pslgs.coordination.epoch import Epoch, ResponseTimes, ResponseTimeState
from pslgs.coordination.epoch_position import EpochPosition
from pslgs.coordination.evaluation import EvaluationAtClients, EvaluationAtServer
from pslgs.coordination.membership import Membership
from pslgs.coordination.messages import ExchangeId, Finish, LocalBatch
from pslgs.coordination.operation import Checkpointing, Drawing, Operation
from pslgs.coordination.schedule_draw import DrawResult, ScheduleDraw
from pslgs.coordination.settings import Settings
from pslgs.coordination.state import CoordinatorState
from pslgs.coordination.step_attempt import StepAttempt
from pslgs.spec.data import EvaluationPlace
from pslgs.spec.exit_codes import ExitCode


class Progress:
    """The committed steps of a training, and the order of its operations.

    Within an epoch: draws of schedules whenever the live clients have changed, the steps of the schedule,
    then an evaluation if one is due.

    Attributes:
        step: Steps committed so far.
        epoch: The epoch in progress.
        best: The best evaluation so far.
    """

    def __init__(
        self, settings: Settings, membership: Membership, state: CoordinatorState | None = None
    ) -> None:
        self.step = state.step if state else 0
        self._settings = settings
        self._membership = membership
        self._response_times = ResponseTimes(
            state.delays if state else ResponseTimeState(settings.known_delays)
        )
        known = self._response_times.known
        self.epoch = (
            Epoch.restore(state.epoch, settings.seed, settings.draw_schedule, known)
            if state
            else Epoch(1, settings.seed, settings.draw_schedule, known)
        )
        self._evaluated = state.evaluated if state else False
        same_metric = state is not None and state.best.metric == settings.comparison.metric
        self.best = state.best if state and same_metric else BestEvaluation()
        self._planned_for: tuple[int, int] | None = None
        self._steps_per_epoch = 0
        self._attempts = 0
        self._checkpointed_at = self.step

    @property
    def all_epochs_done(self) -> bool:
        """Whether every epoch of the job has ended, or the last one before an early end."""
        return self.epoch.number > self.last_epoch

    @property
    def last_epoch(self) -> int:
        """The epoch with which the training ends, as far as is known."""
        epochs = self._settings.epochs
        return min(epochs, self.best.last_epoch) if self.best.ends(self._settings.comparison) else epochs

    def state(self, active_seconds: float) -> CoordinatorState:
        """Return what a checkpoint contains; an operation in progress is not part of it."""
        return CoordinatorState(
            step=self.step,
            epoch=self.epoch.state(),
            evaluated=self._evaluated,
            samples=self._membership.samples(),
            active_seconds=active_seconds,
            delays=self._response_times.state(),
            best=self.best,
        )

    def total_steps(self) -> int:
        """Count the steps of the whole job, assuming no further change; 0 before the first schedule."""
        if not self._steps_per_epoch:
            return 0
        epochs_to_come = max(0, self.last_epoch - self.epoch.number)
        return self.step + self.epoch.steps_left() + self._steps_per_epoch * epochs_to_come

    def fraction(self) -> float:
        """Return the fraction of the training that is done, 0 … 1.

        It counts the epochs that have ended, and of the present one the samples that it has used, as a share
        of those of all clients, lost ones included: a client that is lost or returns does not change it.
        """
        pooled = self._membership.pooled_samples
        share = min(1.0, self.epoch.used / pooled) if pooled else 0.0
        return min(1.0, (self.epoch.number - 1 + share) / self._settings.epochs)

    def complete(self, operation: Operation) -> None:
        """Commit the result of an operation that has ended; nothing if it was abandoned."""
        match operation:
            case StepAttempt(completed=True) as attempt:
                self.epoch.commit()
                if self._settings.uses_client_stats:
                    self._response_times.record(attempt.response_seconds)
                self.step += 1
                self._attempts = 0
                # A client that returns during the evaluation of an epoch has steps left in that epoch.
                self._evaluated = False
            case (EvaluationAtServer(completed=True) | EvaluationAtClients(completed=True)) as evaluation:
                self._evaluated = True
                self.best = self.best.after(
                    evaluation.value, evaluation.epoch, self.step, self._settings.comparison
                )
            case Drawing(draw=draw, result=DrawResult() as result):
                if self.epoch.restoring:
                    self._planned_for = None  # it was drawn for the clients before the resume
                self.epoch.adopt(draw, result)
                self._steps_per_epoch = self.epoch.steps_planned()

    def next_checkpoint(self, *, ending: bool) -> Checkpointing | None:
        """Return a checkpoint if one is due; ``ending`` asks for one of any new step."""
        new_steps = self.step - self._checkpointed_at
        if new_steps < (1 if ending or self.all_epochs_done else self._settings.checkpoint_every):
            return None
        self._checkpointed_at = self.step
        return Checkpointing(self.step)

    def next_operation(self, *, just_drawn: bool) -> Operation | None:
        """Return the next operation of the epoch; None if the epoch is over.

        Args:
            just_drawn: Whether a schedule has been drawn since the last step; see `Epoch.plan`.
        """
        if draw := self._next_draw(just_drawn=just_drawn):
            return Drawing(draw)
        if self.epoch.steps_left():
            return self._next_attempt()
        return self._next_evaluation() if self._evaluation_due() else None

    def end_epoch(self) -> dict[str, int]:
        """Begin the next epoch; return client -> samples that the old one was not trained on."""
        untrained = self.epoch.untrained(self._membership.samples())
        self._evaluated = False
        self._response_times.end_epoch()
        self.epoch = Epoch(
            self.epoch.number + 1,
            self._settings.seed,
            self._settings.draw_schedule,
            self._response_times.known,
        )
        return untrained

    def finish(self, absent: str) -> Finish:
        """Return the end of a training all of whose epochs are done.

        Args:
            absent: Number and names of the clients that were not there at the end; empty if all were.
        """
        epochs, last = self._settings.epochs, self.last_epoch
        without = f"; it ended without {absent}" if absent else ""
        if last == epochs:
            trained = "1 epoch" if epochs == 1 else f"{epochs} epochs"
            return Finish(ExitCode.FINISHED, f"trained {trained}, {self.step} steps{without}")
        why = self.best.why_it_ends(self._settings.comparison)
        stopped = f"stopped early after epoch {last} of {epochs}, {self.step} steps: {why}{without}"
        return Finish(ExitCode.FINISHED, stopped, early=True)

    def _next_draw(self, *, just_drawn: bool) -> ScheduleDraw | None:
        """Return the next draw; None if the epoch and the live clients are those of the last one."""
        present = self.epoch.number, self._membership.changes
        if present == self._planned_for:
            return None
        live = self._membership.live()
        samples = {name: member.samples for name, member in live.items()}
        weighed = live if self._settings.uses_client_stats else {}
        label_counts = {name: member.label_counts for name, member in weighed.items()}
        if not just_drawn:  # clients that joined during the draw are planned for after one step
            self._planned_for = present
        return self.epoch.plan(samples, label_counts, just_drawn=just_drawn)

    def _next_attempt(self) -> StepAttempt:
        self._attempts += 1
        local_batches = tuple(
            LocalBatch(
                client,
                self._membership.member(client).open_session(),
                self.epoch.offsets.get(client, 0),
                samples,
            )
            for client, samples in self.epoch.next_batch().items()
        )
        exchange = ExchangeId(self.step + 1, self._attempts)
        position = EpochPosition(self.epoch.steps_taken(), self.epoch.steps_planned())
        return StepAttempt(
            exchange, self.epoch.number, local_batches, self.epoch.next_batch(ahead=1), position
        )

    def _evaluation_due(self) -> bool:
        epoch = self.epoch.number
        due = epoch % self._settings.evaluate_every == 0 or epoch == self._settings.epochs
        return due and not self._evaluated and self._settings.evaluate_at is not None

    def _next_evaluation(self) -> Operation:
        exchange, epoch = ExchangeId(self.step, 0), self.epoch.number
        if self._settings.evaluate_at is EvaluationPlace.SERVER:
            return EvaluationAtServer(exchange, epoch)
        members = self._membership
        size = self._settings.evaluation_range
        return EvaluationAtClients(
            exchange, epoch, members.live(), (*members.lost(), *members.excluded()), size
        )
