"""One draw of an epoch's schedule: frozen data, so that it can be run in any thread."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from pslgs.sampling.holdings import Holdings
from pslgs.sampling.randomness import Purpose, generator
from pslgs.sampling.schedule import Schedule

ScheduleSampler = Callable[[Holdings, np.random.Generator], Schedule]
"""Draws a schedule over what each client has left: a sampling strategy with its options."""

LabelCounts = Mapping[str, tuple[int, ...]]
"""Client -> its samples of each class."""


@dataclass(frozen=True, slots=True, order=True)
class DrawId:
    """Identifies a draw.

    Attributes:
        epoch: The epoch, counted from 1.
        number: The draw within the epoch, counted from 1; 0 for the empty schedule that an epoch begins with.
    """

    epoch: int
    number: int


class DrawResult(NamedTuple):
    """Result of a draw.

    Attributes:
        schedule: Its clients are numbered in the order of `ScheduleDraw.remaining`.
        unplanned: Client -> samples left after the schedule's first `ScheduleDraw.taken` steps; none is 0.
    """

    schedule: Schedule
    unplanned: dict[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class ScheduleDraw:
    """All inputs of a draw: equal inputs give equal schedules.

    Attributes:
        draw_id: Identifies the draw, and is a key of its random numbers.
        seed: Seed of the job's schedules.
        sampler: The sampling strategy.
        remaining: Client -> samples that it has left in the epoch, in order of the names; all positive.
        label_counts: Label counts of the same clients, for strategies that use them; otherwise empty.
        delays: Client -> mean response time in seconds, for the clients for which it is known.
        taken: Steps of the schedule that are already committed, in a resumed run.
    """

    draw_id: DrawId
    seed: int
    sampler: ScheduleSampler = field(repr=False)
    remaining: Mapping[str, int]
    label_counts: LabelCounts = field(default_factory=dict)
    delays: Mapping[str, float] = field(default_factory=dict)
    taken: int = 0

    def run(self) -> DrawResult:
        """Draw the schedule.  Takes seconds if the clients have millions of samples left."""
        rng = generator(self.seed, Purpose.SCHEDULE, self.draw_id.epoch, self.draw_id.number)
        holdings = self._holdings()
        schedule = self.sampler(holdings, rng)
        left = holdings.remaining.copy()
        for step in range(self.taken):
            batches = schedule.local_batches(step)
            left[batches.clients] -= batches.sizes
        unplanned = {name: n for name, n in zip(self.remaining, left.tolist(), strict=True) if n}
        return DrawResult(schedule, unplanned)

    def _holdings(self) -> Holdings:
        """Return the inputs as arrays; clients without label counts are treated as of a single class."""
        remaining = np.array(list(self.remaining.values()), dtype=np.int64)
        counts = [self.label_counts.get(name) or (left,) for name, left in self.remaining.items()]
        delays = [self.delays.get(name, np.nan) for name in self.remaining]
        label_counts = np.array(counts, dtype=np.int64).reshape(len(counts), len(counts[0]) if counts else 1)
        return Holdings(remaining, label_counts, np.array(delays))
