"""Long series made short enough to draw."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

POINTS = 300


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """At most `POINTS` points; each stands for as many neighbours as the next, give or take one.

    Attributes:
        x: The last place of each; shape (points,).
        mean: Their mean, nan where one of them is not finite; shape (points,).
        low: Their minimum.
        high: Their maximum.
    """

    x: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def condensed(x: ArrayLike, y: ArrayLike, points: int = POINTS) -> Series:
    """Condense a series of any length; one that is short enough stays as it is."""
    places, values = np.asarray(x, float), np.asarray(y, float)
    values = np.where(np.isfinite(values), values, np.nan)
    if not len(values):
        return Series(places, values, values, values)
    starts = np.linspace(0, len(values), min(points, len(values)), endpoint=False).astype(int)
    sizes = np.diff(starts, append=len(values))
    return Series(
        x=places[starts + sizes - 1],
        mean=np.add.reduceat(values, starts) / sizes,
        low=np.minimum.reduceat(values, starts),
        high=np.maximum.reduceat(values, starts),
    )
