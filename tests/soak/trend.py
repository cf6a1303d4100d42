"""Whether a quantity that is measured for a long time grows."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
_HOUR = 3600.0
_BLOCKS = 24
_LEAST_BLOCKS = 7
_BLOCK_SECONDS = 60
_WARM_UP_SHARE = 0.2


class Verdict(StrEnum):
    """What the confidence interval of a slope says."""

    FLAT = "flat"
    GROWS = "grows"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Trend:
    """The slope of a quantity.

    Attributes:
        level: Median.
        low: Lower bound of the slope per hour, with the confidence `CONFIDENCE`.
        high: Upper bound of it.
        allowed: Slope per hour that counts as flat.
    """

    level: float
    low: float
    high: float
    allowed: float

    @property
    def verdict(self) -> Verdict:
        """Flat if the slope is at most the allowed one, grows if it is more, both with confidence."""
        if self.high <= self.allowed:
            return Verdict.FLAT
        return Verdict.GROWS if self.low > self.allowed else Verdict.UNCLEAR


def trend(seconds: Sequence[float], values: Sequence[float], allowed: float) -> Trend:
    """Estimate the slope after a warm-up, by Theil and Sen.

    Successive values depend on each other, which would make the interval too narrow, so the estimate is made
    from the medians of blocks of them.

    Args:
        seconds: Times, ascending.
        values: Values at these times.
        allowed: Slope per hour that counts as flat.

    Raises:
        ValueError: there are too few values.
    """
    from scipy.stats import theilslopes  # noqa: PLC0415 - takes a second

    first = next(index for index, time in enumerate(seconds) if time >= _WARM_UP_SHARE * seconds[-1])
    blocks = min(_BLOCKS, round((seconds[-1] - seconds[first]) / _BLOCK_SECONDS))
    if blocks < _LEAST_BLOCKS or blocks > len(seconds) - first:
        raise ValueError(f"{len(seconds)} values of {seconds[-1]:.0f} s are too few for a trend")
    times, medians = _medians(seconds[first:], blocks), _medians(values[first:], blocks)
    slope = theilslopes(medians, times / _HOUR, alpha=CONFIDENCE)
    return Trend(float(np.median(values[first:])), float(slope.low_slope), float(slope.high_slope), allowed)


def _medians(values: Sequence[float], blocks: int) -> NDArray[np.float64]:
    return np.array([np.median(block) for block in np.array_split(np.asarray(values, float), blocks)])
