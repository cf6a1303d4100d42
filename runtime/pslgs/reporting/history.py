"""Records of a run sorted by kind, with sums and downsampled series."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pslgs.telemetry.records import (
    AbortRecord,
    CheckpointRecord,
    ClientRecord,
    EvaluationRecord,
    FinishRecord,
    Record,
    SkippedRecord,
    StepRecord,
    WeightsRecord,
)

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class History:
    """All records of a run in the order in which they were written."""

    records: tuple[Record, ...]

    @property
    def steps(self) -> Sequence[StepRecord]:
        """The committed steps."""
        return self._all(StepRecord)

    @property
    def evaluations(self) -> Sequence[EvaluationRecord]:
        """The evaluations."""
        return self._all(EvaluationRecord)

    @property
    def aborts(self) -> Sequence[AbortRecord]:
        """The aborted attempts at a step."""
        return self._all(AbortRecord)

    @property
    def losses(self) -> Sequence[ClientRecord]:
        """The records of lost clients."""
        return [record for record in self._all(ClientRecord) if record.change == "lost"]

    @property
    def failed_checkpoints(self) -> Sequence[CheckpointRecord]:
        """The checkpoints that could not be written."""
        return [record for record in self._all(CheckpointRecord) if record.error is not None]

    @property
    def initial_weights(self) -> str:
        """What was loaded before the first step, as a sentence; empty for random weights."""
        return next((record.message for record in self._all(WeightsRecord)), "")

    @property
    def finish(self) -> FinishRecord | None:
        """The end of the run; None if it has not ended, was resumed since, or was killed."""
        ends = [record for record in self.records if isinstance(record, StepRecord | FinishRecord)]
        return ends[-1] if ends and isinstance(ends[-1], FinishRecord) else None

    @property
    def started(self) -> float | None:
        """Unix time in seconds of the first record."""
        return self.records[0].time if self.records else None

    @property
    def seconds(self) -> float:
        """Seconds from the first record to the last, including interruptions.

        If the clock was set back meanwhile, the record at which that was seen follows at once.
        """
        return sum(max(0.0, after.time - before.time) for before, after in pairwise(self.records))

    def samples_per_second(self) -> float | None:
        """Return the speed by the median time between steps; None with fewer than two steps.

        The median is not affected by evaluations and interruptions.
        """
        steps = self.steps
        if len(steps) < 2:
            return None
        interval = median(after.time - before.time for before, after in pairwise(steps))
        return sum(step.batch_size for step in steps) / len(steps) / interval if interval > 0 else None

    def used_samples(self) -> Counter[str]:
        """Return the number of samples that each client contributed, over all epochs."""
        used: Counter[str] = Counter()
        for step in self.steps:
            used.update({client: samples for client, (_, samples) in step.allocation.items()})
        return used

    def clients(self) -> list[str]:
        """Return the names of all clients that ever joined or contributed, sorted."""
        joined = {record.client for record in self._all(ClientRecord)}
        return sorted(joined | self.used_samples().keys() | self.skipped_samples().keys())

    def skipped_samples(self) -> Counter[str]:
        """Return the number of skipped samples of each client, over all epochs."""
        skipped: Counter[str] = Counter()
        for record in self._all(SkippedRecord):
            skipped.update(record.samples)
        return skipped

    def left_out(self) -> dict[str, Mapping[str, int]]:
        """Return what clients left out of their data when they last joined, by reason; sorted by client."""
        joins = {record.client: record for record in self._all(ClientRecord) if record.change == "joined"}
        return {client: joins[client].left_out for client in sorted(joins) if joins[client].left_out}

    def diverged_at(self) -> StepRecord | None:
        """Return the first step whose loss is not finite; None if there is none."""
        return next((step for step in self.steps if not math.isfinite(step.loss)), None)

    def _all(self, kind: type[R]) -> list[R]:
        return [record for record in self.records if isinstance(record, kind)]


POINTS = 300


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """A downsampled series, whose points stand for groups of neighbours of nearly equal size.

    Attributes:
        x: Position of the last neighbour of each group; shape (points,).
        mean: Mean of each group, NaN if a value in it is not finite; shape (points,).
        low: Minimum of each group, NaN as in ``mean``; shape (points,).
        high: Maximum of each group, NaN as in ``mean``; shape (points,).
    """

    x: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def condensed(x: ArrayLike, y: ArrayLike, points: int = POINTS) -> Series:
    """Downsample a series to at most ``points`` points; a shorter one does not change.

    Args:
        x: Positions; shape (length,).
        y: Values; shape (length,).
        points: Maximum number of points.
    """
    positions, values = np.asarray(x, float), np.asarray(y, float)
    values = np.where(np.isfinite(values), values, np.nan)
    if not len(values):
        return Series(positions, values, values, values)
    starts = np.linspace(0, len(values), min(points, len(values)), endpoint=False).astype(int)
    sizes = np.diff(starts, append=len(values))
    return Series(
        x=positions[starts + sizes - 1],
        mean=np.add.reduceat(values, starts) / sizes,
        low=np.minimum.reduceat(values, starts),
        high=np.maximum.reduceat(values, starts),
    )
