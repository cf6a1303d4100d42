"""Downsampling of long series for figures."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
