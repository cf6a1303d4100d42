"""The state of the clients' data from which a schedule is drawn."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Holdings:
    """Remaining samples, label counts and response times; one row per client, in the schedule's order.

    Attributes:
        remaining: Number of samples not yet used in this epoch, not negative; shape (clients,).
        label_counts: Number of samples of each class, including used ones; shape (clients, classes).  All
            samples count as a single class if labels are not classes or the strategy ignores them.
        delays: Response time of a client in seconds, NaN where unknown; shape (clients,).
    """

    remaining: NDArray[np.int64]
    label_counts: NDArray[np.int64]
    delays: NDArray[np.float64]

    @classmethod
    def of_sizes(cls, remaining: NDArray[np.int64] | list[int]) -> "Holdings":
        """Create holdings from the numbers of remaining samples alone."""
        sizes = np.asarray(remaining, dtype=np.int64)
        return cls(sizes, sizes[:, None], np.full(len(sizes), np.nan))
