"""One epoch: its schedule, what each client has used of it, and the clients' response times."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pslgs.coordination.schedule_draw import DrawId, DrawResult, LabelCounts, ScheduleDraw, ScheduleSampler
from pslgs.sampling.schedule import DrawnSchedule, Schedule


@dataclass(frozen=True, slots=True)
class EpochState:
    """All of an epoch that outlives the process, small enough for JSON.

    The schedule itself is not in it: it is drawn again from the seed, the epoch, the number of the draw and
    what the clients had left at that time.  Label counts are those of that time, where they were heeded.

    The draw is the one that the last committed step came from.  A later draw, made because a client left or
    came, is forgotten until a step of it is committed: a run whose clients left just before its server
    stopped goes on, once they are back, as if it had not been stopped.
    """

    epoch: int
    draw: int
    drawn_over: Mapping[str, int]
    taken: int
    offsets: Mapping[str, int]
    label_counts: LabelCounts = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)


class Epoch:
    """The remaining samples of an epoch, as a schedule over the clients that were live when it was drawn.

    An epoch begins with an empty schedule.  `plan` says which schedule is to be drawn, and `adopt` takes it
    once it is drawn; both happen on the caller's side, so that drawing can take place in another thread.

    Attributes:
        number: The epoch, counted from 1.
        offsets: Client -> samples that it has contributed so far in this epoch.
        skipped: Client -> those of them that were in skipped steps.
    """

    def __init__(
        self,
        number: int,
        seed: int,
        sampler: ScheduleSampler,
        delays: Mapping[str, float] | None = None,
    ) -> None:
        """Begin an epoch; ``delays``, client -> seconds, are the same for all of its draws."""
        self.number = number
        self.offsets: dict[str, int] = {}
        self.skipped: dict[str, int] = {}
        self._draw = ScheduleDraw(DrawId(number, 0), seed, sampler, {}, delays=dict(delays or {}))
        self._last_number = 0
        self._names: tuple[str, ...] = ()
        self._taken = 0
        self._taken_before = 0
        self._unplanned: dict[str, int] = {}
        self._schedule: Schedule = DrawnSchedule(())
        self._restored: ScheduleDraw | None = None
        self._committed = self._present_draw()

    @property
    def restoring(self) -> bool:
        """Whether the schedule of a checkpoint has not been drawn again yet."""
        return self._restored is not None

    def remaining(self, client: str, samples: int) -> int:
        """Return how many of a client's ``samples`` this epoch has not used yet."""
        return max(0, samples - self.offsets.get(client, 0))

    def plan(
        self,
        samples: Mapping[str, int],
        label_counts: LabelCounts | None = None,
        *,
        just_drawn: bool = False,
    ) -> ScheduleDraw | None:
        """Return the draw that the live clients need; None where the present schedule serves them.

        The remainder of a shuffled pool is itself a uniform draw, so filtering out the lost clients' entries
        and shuffling again keeps the law of global sampling.

        Args:
            samples: Client -> training samples that it holds, used ones included.
            label_counts: For strategies that use them; of all these clients, or empty.
            just_drawn: Keep a schedule that has lost no client, although others have come while it was drawn.
                They wait for one step, so that clients which come faster than schedules are drawn do not
                stop the training.
        """
        if self._restored:
            return self._restored
        wanted = {name: left for name, held in samples.items() if (left := self.remaining(name, held)) > 0}
        if wanted == self._unplanned or (just_drawn and self._serves(wanted)):
            return None
        self._last_number += 1
        counts = {name: label_counts[name] for name in wanted} if label_counts else {}
        draw_id = DrawId(self.number, self._last_number)
        return replace(self._draw, draw_id=draw_id, remaining=wanted, label_counts=counts, taken=0)

    def adopt(self, draw: ScheduleDraw, result: DrawResult) -> None:
        """Go on with the schedule that ``draw`` gave; nothing else may have changed since it was planned."""
        if self._taken:
            self._committed = self._present_draw()
        self._taken_before += self._taken
        self._draw, self._taken, self._restored = draw, draw.taken, None
        self._names = tuple(draw.remaining)
        self._schedule, self._unplanned = result

    def steps_left(self) -> int:
        """Count the steps that the present schedule has left."""
        return len(self._schedule) - self._taken

    def steps_planned(self) -> int:
        """Count the steps of the whole epoch, those taken before the present draw included."""
        return self._taken_before + len(self._schedule)

    def next_batch(self, ahead: int = 0) -> dict[str, int]:
        """Return the active clients' local batch sizes of the next step, or of the one ``ahead`` of it."""
        if ahead >= self.steps_left():
            return {}
        batches = self._schedule.local_batches(self._taken + ahead)
        return {
            self._names[client]: size
            for client, size in zip(batches.clients.tolist(), batches.sizes.tolist(), strict=True)
        }

    def commit(self) -> None:
        """Take the next batch as used."""
        for client, size in self.next_batch().items():
            self.offsets[client] = self.offsets.get(client, 0) + size
            self._unplanned[client] -= size
            if not self._unplanned[client]:
                del self._unplanned[client]
        self._taken += 1

    def skip(self) -> None:
        """Leave the next batch out: its samples count as taken, but nothing is learned from them."""
        for client, size in self.next_batch().items():
            self.skipped[client] = self.skipped.get(client, 0) + size
        self.commit()

    def state(self) -> EpochState:
        """Return what must be kept to go on exactly after the last committed step."""
        draw = self._present_draw() if self._taken else self._committed
        return replace(draw, offsets=dict(self.offsets), skipped=dict(self.skipped))

    @classmethod
    def restore(
        cls,
        state: EpochState,
        seed: int,
        sampler: ScheduleSampler,
        delays: Mapping[str, float] | None = None,
    ) -> "Epoch":
        """Go on where ``state`` was taken; the first draw that `plan` asks for is the one of ``state``."""
        epoch = cls(state.epoch, seed, sampler, delays)
        epoch._last_number = state.draw
        epoch.offsets, epoch.skipped = dict(state.offsets), dict(state.skipped)
        epoch._committed = state
        if state.drawn_over:
            epoch._restored = replace(
                epoch._draw,
                draw_id=DrawId(state.epoch, state.draw),
                remaining=dict(state.drawn_over),
                label_counts={client: tuple(counts) for client, counts in state.label_counts.items()},
                taken=state.taken,
            )
        return epoch

    def _serves(self, wanted: Mapping[str, int]) -> bool:
        """Tell whether no step is taken of a schedule that has some, and all of its clients are there."""
        fresh = not self._taken and self.steps_left() > 0
        return fresh and all(wanted.get(name) == left for name, left in self._unplanned.items())

    def _present_draw(self) -> EpochState:
        """Return the state under the present draw; its offsets are filled in when it is asked for."""
        draw = self._draw
        return EpochState(
            self.number, draw.draw_id.number, draw.remaining, self._taken, {}, draw.label_counts
        )


@dataclass(frozen=True, slots=True)
class ResponseTimeState:
    """What of the delays goes into a checkpoint.

    Attributes:
        known: Client -> mean seconds that it kept a step waiting, as the epoch under way heeds them.
        measured: Client -> seconds in all and steps, of the epoch under way.
    """

    known: Mapping[str, float] = field(default_factory=dict)
    measured: Mapping[str, tuple[float, int]] = field(default_factory=dict)


class ResponseTimes:
    """The delays of a job's clients.

    A delay is what a client costs a step: the time to its smashed data and that to its gradient together,
    whatever its local batch was.  It stays the same within an epoch, so that a resumed run draws as before.

    Attributes:
        known: Client -> seconds, to be heeded by the draws of the epoch under way.
    """

    def __init__(self, state: ResponseTimeState) -> None:
        self.known = dict(state.known)
        self._measured = {client: (seconds, steps) for client, (seconds, steps) in state.measured.items()}

    def note(self, seconds: Mapping[str, float]) -> None:
        """Take in what the clients of one committed step needed."""
        for client, more in seconds.items():
            before, steps = self._measured.get(client, (0.0, 0))
            self._measured[client] = before + more, steps + 1

    def end_epoch(self) -> None:
        """Heed from now on what was measured; a client that was not active keeps its old delay."""
        self.known |= {client: seconds / steps for client, (seconds, steps) in self._measured.items()}
        self._measured.clear()

    def state(self) -> ResponseTimeState:
        """Return what must be kept to go on exactly here."""
        return ResponseTimeState(dict(self.known), dict(self._measured))
