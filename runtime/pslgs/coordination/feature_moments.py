"""Mean and standard deviation of each feature over all clients, from what each states once about its own."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

MAX_FEATURES: Final = 2048
"""Maximum number of features: their moments travel in the message with which a client introduces itself."""

_LARGEST: Final = float(np.finfo(np.float32).max)
_ROUNDING: Final = 8 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True, eq=False)
class FeatureMoments:
    """Moments of features over some values of each.

    Attributes:
        count: Number of values of each feature.
        mean: Mean of each feature; shape (features,).
        deviations: Sum of the squared deviations from that mean; shape (features,).
    """

    count: int
    mean: Vector
    deviations: Vector

    @classmethod
    def none(cls, features: int) -> Self:
        """Return the moments of no values."""
        return cls(0, np.zeros(features), np.zeros(features))

    @classmethod
    def of(cls, rows: Vector) -> Self:
        """Return the moments of rows; shape (values, features)."""
        if not len(rows):
            return cls.none(rows.shape[1])
        mean = rows.mean(axis=0)
        return cls(len(rows), mean, np.square(rows - mean).sum(axis=0))

    def __add__(self, other: Self) -> Self:
        """Return the moments over the values of both.

        Unlike sums of squares, this does not cancel where means are large (Chan, Golub and LeVeque 1983).
        """
        count = self.count + other.count
        if not count:
            return self
        apart = other.mean - self.mean
        mean = self.mean + apart * (other.count / count)
        between = np.square(apart) * (self.count * (other.count / count))
        return type(self)(count, mean, self.deviations + other.deviations + between)

    def violation(self, features: int, most: int) -> str | None:
        """Describe what is impossible in moments that a client states; None if nothing is.

        Args:
            features: Number of the job's features.
            most: Number of values of a feature that the client can have.
        """
        if (len(self.mean), len(self.deviations)) != (features, features):
            return f"moments of {len(self.mean)} features came, the job has {features}"
        if self.count > most:
            return f"moments of {self.count} values came, of a client that holds {most}"
        largest = _LARGEST**2 * max(1, self.count)
        plausible = np.abs(self.mean) <= _LARGEST, (self.deviations >= 0) & (self.deviations <= largest)
        if not all(each.all() for each in plausible):  # NaN compares false
            return "moments of features came that no finite numbers have"
        return None


@dataclass(frozen=True, slots=True, eq=False)
class FeatureScale:
    """Mean and standard deviation by which each feature is standardised, fixed for a job.

    Attributes:
        mean: Mean; shape (features,).
        deviation: Standard deviation, above 0; 1 for a feature that never varies.  Shape (features,).
    """

    mean: Vector
    deviation: Vector

    @classmethod
    def over(cls, clients: Iterable[FeatureMoments], features: int) -> Self:
        """Return the scale over the values of all clients, which are merged in the given order."""
        pooled = sum(clients, FeatureMoments.none(features))
        deviation = np.sqrt(pooled.deviations / max(1, pooled.count))
        varies = deviation > _ROUNDING * np.abs(pooled.mean)
        return cls(pooled.mean, np.where(varies, deviation, 1.0))

    @classmethod
    def of(cls, mean: Sequence[float], deviation: Sequence[float], features: int) -> Self:
        """Return a scale that was sent or stored.

        Raises:
            ValueError: it is not one of so many features.
        """
        valid = (
            len(mean) == len(deviation) == features
            and all(map(math.isfinite, (*mean, *deviation)))
            and all(each > 0 for each in deviation)
        )
        if not valid:
            raise ValueError(f"means and standard deviations do not fit {features} features")
        return cls(np.array(mean, np.float64), np.array(deviation, np.float64))

    def to_json(self) -> dict[str, list[float]]:
        """Return the scale as JSON values, without a loss of precision."""
        return {"mean": self.mean.tolist(), "deviation": self.deviation.tolist()}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any], features: int) -> Self:
        """Return the scale that `to_json` stored.

        Raises:
            KeyError: it is incomplete.
            ValueError: it is not one of so many features.
        """
        try:
            mean, deviation = ([float(each) for each in stored[name]] for name in ("mean", "deviation"))
        except OverflowError as error:
            raise ValueError("a number is too large") from error
        return cls.of(mean, deviation, features)
