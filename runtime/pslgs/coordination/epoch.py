"""One epoch: its schedule, what each client has used of it, and the clients' response times."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pslgs.coordination.schedule_draw import DrawId, DrawResult, LabelCounts, ScheduleDraw, ScheduleSampler
from pslgs.sampling.schedule import DrawnSchedule, Schedule


@dataclass(frozen=True, slots=True)
class EpochState:
    """What a checkpoint contains of an epoch, small enough for JSON.

    The schedule itself is not part of it: it is drawn again from the seed, the epoch, the number of the draw
    and the samples that the clients had left at that time.

    The draw is the one that the last committed step came from.  A later draw, made because a client left or
    joined, is not kept until a step of it is committed: a run whose clients left just before its server
    stopped continues, once they have returned, as if it had not been stopped.

    Attributes:
        epoch: The epoch, counted from 1.
        draw: Number of the draw within the epoch; 0 for none.
        drawn_over: Client -> samples that it had left when the schedule was drawn.
        taken: Steps of the schedule that are committed.
        offsets: Client -> samples that it has contributed so far in this epoch.
        label_counts: Label counts at the time of the draw, for strategies that use them.
        skipped: Client -> samples of skipped steps.
        taken_before: Steps of the epoch that were committed before the draw.
    """

    epoch: int
    draw: int
    drawn_over: Mapping[str, int]
    taken: int
    offsets: Mapping[str, int]
    label_counts: LabelCounts = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)
    taken_before: int = 0


class Epoch:
    """The remaining samples of an epoch, as a schedule over the clients that were live when it was drawn.

    An epoch begins with an empty schedule.  `plan` returns the draw to make, and `adopt` uses its result, so
    that the draw itself can be made in another thread.

    Attributes:
        number: The epoch, counted from 1.
        offsets: Client -> samples that it has contributed so far in this epoch.
        skipped: Client -> samples of ``offsets`` that were in skipped steps.
        used: Sum of ``offsets``.
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
        self.used = 0
        self._draw = ScheduleDraw(DrawId(number, 0), seed, sampler, {}, delays=dict(delays or {}))
        self._last_number = 0
        self._names: tuple[str, ...] = ()
        self._taken = 0
        self._taken_before = 0
        self._unplanned: dict[str, int] = {}
        self._schedule: Schedule = DrawnSchedule(())
        self._batches: dict[int, dict[str, int]] = {}  # of the next step and the one after it
        self._restored: ScheduleDraw | None = None
        self._committed = self._present_draw()

    @property
    def restoring(self) -> bool:
        """Whether the schedule of a checkpoint has not been drawn again yet."""
        return self._restored is not None

    def remaining(self, client: str, samples: int) -> int:
        """Return how many of a client's ``samples`` this epoch has not used yet."""
        return max(0, samples - self.offsets.get(client, 0))

    def untrained(self, samples: Mapping[str, int]) -> dict[str, int]:
        """Return how many of their ``samples`` the clients were not trained on so far; none is 0."""
        return {
            client: left
            for client, held in samples.items()
            if (left := self.remaining(client, held) + self.skipped.get(client, 0))
        }

    def plan(
        self,
        samples: Mapping[str, int],
        label_counts: LabelCounts | None = None,
        *,
        just_drawn: bool = False,
    ) -> ScheduleDraw | None:
        """Return the draw that the live clients need; None if the present schedule is theirs.

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
        if wanted == self._unplanned or (just_drawn and self._is_usable(wanted)):
            return None
        self._last_number += 1
        counts = {name: label_counts[name] for name in wanted} if label_counts else {}
        draw_id = DrawId(self.number, self._last_number)
        return replace(self._draw, draw_id=draw_id, remaining=wanted, label_counts=counts, taken=0)

    def adopt(self, draw: ScheduleDraw, result: DrawResult) -> None:
        """Use the schedule that ``draw`` gave; no step may have been taken since it was planned."""
        if self._taken:
            self._committed = self._present_draw()
        self._taken_before += self._taken
        self._draw, self._taken, self._restored = draw, draw.taken, None
        self._names = tuple(draw.remaining)
        self._schedule, self._unplanned = result
        self._batches.clear()

    def steps_left(self) -> int:
        """Return the number of steps that the present schedule has left."""
        return len(self._schedule) - self._taken

    def steps_taken(self) -> int:
        """Return the number of steps that this epoch has taken."""
        return self._taken_before + self._taken

    def steps_planned(self) -> int:
        """Return the number of steps of the whole epoch, including those before the present draw."""
        return self._taken_before + len(self._schedule)

    def next_batch(self, ahead: int = 0) -> Mapping[str, int]:
        """Return the active clients' local batch sizes of the next step, or of the one ``ahead`` of it."""
        if ahead >= self.steps_left():
            return {}
        step = self._taken + ahead
        if step not in self._batches:
            batches = self._schedule.local_batches(step)
            pairs = zip(batches.clients.tolist(), batches.sizes.tolist(), strict=True)
            self._batches[step] = {self._names[client]: size for client, size in pairs}
        return self._batches[step]

    def use_up(self, client: str, samples: int) -> None:
        """Count all of a client's ``samples`` as used."""
        self.used += samples - self.offsets.get(client, 0)
        self.offsets[client] = samples

    def commit(self) -> None:
        """Count the samples of the next batch as used."""
        for client, size in self.next_batch().items():
            self.offsets[client] = self.offsets.get(client, 0) + size
            self.used += size
            self._unplanned[client] -= size
            if not self._unplanned[client]:
                del self._unplanned[client]
        self._batches.pop(self._taken, None)
        self._taken += 1

    def skip(self) -> None:
        """Skip the next batch: its samples count as used, but the model is not trained on them."""
        for client, size in self.next_batch().items():
            self.skipped[client] = self.skipped.get(client, 0) + size
        self.commit()

    def state(self) -> EpochState:
        """Return what a checkpoint contains, to continue exactly after the last committed step."""
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
        """Continue from ``state``; the first draw that `plan` returns is the one of ``state``."""
        epoch = cls(state.epoch, seed, sampler, delays)
        epoch._last_number = state.draw
        epoch.offsets, epoch.skipped = dict(state.offsets), dict(state.skipped)
        epoch.used = sum(state.offsets.values())
        epoch._committed = state
        epoch._taken_before = state.taken_before
        if state.drawn_over:
            epoch._restored = replace(
                epoch._draw,
                draw_id=DrawId(state.epoch, state.draw),
                remaining=dict(state.drawn_over),
                label_counts={client: tuple(counts) for client, counts in state.label_counts.items()},
                taken=state.taken,
            )
        return epoch

    def _is_usable(self, wanted: Mapping[str, int]) -> bool:
        """Return whether the schedule has steps, none of them taken, and has lost no client."""
        fresh = not self._taken and self.steps_left() > 0
        return fresh and all(wanted.get(name) == left for name, left in self._unplanned.items())

    def _present_draw(self) -> EpochState:
        """Return the state with the present draw, without offsets."""
        draw = self._draw
        return EpochState(
            self.number,
            draw.draw_id.number,
            draw.remaining,
            self._taken,
            {},
            draw.label_counts,
            taken_before=self._taken_before,
        )


@dataclass(frozen=True, slots=True)
class ResponseTimeState:
    """What a checkpoint contains of the response times.

    Attributes:
        known: Client -> mean seconds, as the draws of the epoch in progress use them.
        measured: Client -> total seconds and number of steps, in the epoch in progress.
    """

    known: Mapping[str, float] = field(default_factory=dict)
    measured: Mapping[str, tuple[float, int]] = field(default_factory=dict)


class ResponseTimes:
    """The response times of a job's clients, for sampling strategies that use them.

    A client's response time in a step is the time to its smashed data and the time to its gradient together,
    whatever its local batch was.  The mean is updated only between epochs, so that a resumed run draws the
    same schedules.

    Attributes:
        known: Client -> mean seconds, for the draws of the epoch in progress.
    """

    def __init__(self, state: ResponseTimeState) -> None:
        self.known = dict(state.known)
        self._measured = {client: (seconds, steps) for client, (seconds, steps) in state.measured.items()}

    def record(self, seconds: Mapping[str, float]) -> None:
        """Record the response times of the clients of one committed step."""
        for client, more in seconds.items():
            before, steps = self._measured.get(client, (0.0, 0))
            self._measured[client] = before + more, steps + 1

    def end_epoch(self) -> None:
        """Make the measured means known; a client that was not active keeps its old one."""
        self.known |= {client: seconds / steps for client, (seconds, steps) in self._measured.items()}
        self._measured.clear()

    def state(self) -> ResponseTimeState:
        """Return what a checkpoint contains."""
        return ResponseTimeState(dict(self.known), dict(self._measured))
