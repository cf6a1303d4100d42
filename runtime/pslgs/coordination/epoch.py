"""One epoch: what is drawn, what is used, and what is left at whom."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from pslgs.sampling.holdings import Holdings
from pslgs.sampling.randomness import Purpose, generator
from pslgs.sampling.schedule import Schedule

DrawSchedule = Callable[[Holdings, np.random.Generator], Schedule]
"""Draws a schedule over what each client still has; a sampling strategy with its options."""

LabelCounts = Mapping[str, tuple[int, ...]]
"""Client -> its samples of each class."""


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


class Epoch:
    """The remaining samples of an epoch, as a schedule over the clients that were live when it was drawn.

    Attributes:
        number: Counted from 1.
        offsets: Samples each client has contributed so far this epoch.
    """

    def __init__(
        self,
        number: int,
        seed: int,
        draw_schedule: DrawSchedule,
        delays: Mapping[str, float] | None = None,
    ) -> None:
        """Begin an epoch; ``delays``, client -> seconds, are the same for all of its draws."""
        self.number = number
        self.offsets: dict[str, int] = {}
        self._seed = seed
        self._draw_schedule = draw_schedule
        self._delays = dict(delays or {})
        self._draws = 0
        self._drawn_over: dict[str, int] = {}
        self._label_counts: dict[str, tuple[int, ...]] = {}
        self._names: tuple[str, ...] = ()
        self._taken = 0
        self._taken_before = 0
        self._unplanned: dict[str, int] = {}
        self._committed = self._present_draw()
        self._schedule = self._drawn()

    def remaining(self, client: str, samples: int) -> int:
        """Return how many of a client's ``samples`` this epoch has not used yet."""
        return max(0, samples - self.offsets.get(client, 0))

    def plan(self, samples: Mapping[str, int], label_counts: LabelCounts | None = None) -> None:
        """Make the schedule fit the live clients, ``samples`` by name; redraw it only where it does not.

        The remainder of a shuffled pool is itself a uniform draw, so filtering out the lost clients' entries
        and shuffling again keeps the law of global sampling.

        Args:
            samples: Client -> training samples that it holds, used ones included.
            label_counts: For strategies that heed them; of all these clients, or empty.
        """
        wanted = {name: left for name, held in samples.items() if (left := self.remaining(name, held)) > 0}
        if wanted == self._unplanned:
            return
        if self._taken:
            self._committed = self._present_draw()
        self._draws += 1
        self._taken_before += self._taken
        self._drawn_over, self._taken, self._unplanned = wanted, 0, dict(wanted)
        self._label_counts = {name: label_counts[name] for name in wanted} if label_counts else {}
        self._schedule = self._drawn()

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

    def state(self) -> EpochState:
        """Return what must be kept to go on exactly after the last committed step."""
        draw = self._present_draw() if self._taken else self._committed
        return replace(draw, offsets=dict(self.offsets))

    @classmethod
    def restore(
        cls,
        state: EpochState,
        seed: int,
        draw_schedule: DrawSchedule,
        delays: Mapping[str, float] | None = None,
    ) -> "Epoch":
        """Go on where `state` was taken."""
        epoch = cls(state.epoch, seed, draw_schedule, delays)
        epoch._draws, epoch._drawn_over = state.draw, dict(state.drawn_over)
        epoch._label_counts = {client: tuple(counts) for client, counts in state.label_counts.items()}
        epoch._unplanned = dict(state.drawn_over)
        epoch._schedule = epoch._drawn()
        for _ in range(state.taken):
            epoch.commit()
        epoch.offsets = dict(state.offsets)
        epoch._committed = state
        return epoch

    def _present_draw(self) -> EpochState:
        """Return the state under the present draw; its offsets are filled in when it is asked for."""
        drawn_over, label_counts = dict(self._drawn_over), dict(self._label_counts)
        return EpochState(self.number, self._draws, drawn_over, self._taken, {}, label_counts)

    def _drawn(self) -> Schedule:
        self._names = tuple(self._drawn_over)
        rng = generator(self._seed, Purpose.SCHEDULE, self.number, self._draws)
        return self._draw_schedule(self._holdings(), rng)

    def _holdings(self) -> Holdings:
        """Put together what is drawn over; clients whose classes are unknown hold one and the same class."""
        remaining = np.array(list(self._drawn_over.values()), dtype=np.int64)
        counts = [self._label_counts.get(name) or (left,) for name, left in self._drawn_over.items()]
        delays = [self._delays.get(name, np.nan) for name in self._names]
        label_counts = np.array(counts, dtype=np.int64).reshape(len(counts), len(counts[0]) if counts else 1)
        return Holdings(remaining, label_counts, np.array(delays))
