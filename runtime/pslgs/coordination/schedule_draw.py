"""One draw of an epoch's schedule: frozen data, so that any thread can make it."""

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
    """Identifies a draw; a result with another id than the draw under way is stale.

    Attributes:
        epoch: The epoch, counted from 1.
        number: The draw within the epoch, counted from 1; 0 for the empty schedule that an epoch begins with.
    """

    epoch: int
    number: int


class DrawResult(NamedTuple):
    """What a draw gives.

    Attributes:
        schedule: Its clients are numbered in the order of `ScheduleDraw.remaining`.
        unplanned: Client -> samples that the schedule's first `ScheduleDraw.taken` steps leave; none is 0.
    """

    schedule: Schedule
    unplanned: dict[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class ScheduleDraw:
    """Everything that a draw depends on: the same values give the same schedule.

    Attributes:
        draw_id: Also a key of the draw's random numbers.
        seed: Seed of the job's schedules.
        sampler: The sampling strategy.
        remaining: Client -> samples that it has left, in order of the names; all positive.
        label_counts: Of the same clients, for strategies that use them; empty for others.
        delays: Client -> seconds, for the clients whose response time is known.
        taken: Steps of the schedule that are committed already, in a run that is resumed.
    """

    draw_id: DrawId
    seed: int
    sampler: ScheduleSampler
    remaining: Mapping[str, int]
    label_counts: LabelCounts = field(default_factory=dict)
    delays: Mapping[str, float] = field(default_factory=dict)
    taken: int = 0

    def run(self) -> DrawResult:
        """Draw the schedule.  Takes seconds where the clients have millions of samples left."""
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
        """Arrange the data by client; clients without label counts hold one and the same class."""
        remaining = np.array(list(self.remaining.values()), dtype=np.int64)
        counts = [self.label_counts.get(name) or (left,) for name, left in self.remaining.items()]
        delays = [self.delays.get(name, np.nan) for name in self.remaining]
        label_counts = np.array(counts, dtype=np.int64).reshape(len(counts), len(counts[0]) if counts else 1)
        return Holdings(remaining, label_counts, np.array(delays))
