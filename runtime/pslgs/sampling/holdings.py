"""What the clients hold that a schedule is drawn over."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Holdings:
    """One row for each client, in the order of the schedule's clients.

    Attributes:
        remaining: Samples that this epoch has not used yet, none negative; shape (clients,).
        label_counts: A client's samples of each class, used ones included; shape (clients, classes).  A
            single class where there are none, or where the strategy does not look at them.
        delays: Seconds that a client takes to answer, NaN where that is unknown; shape (clients,).
    """

    remaining: NDArray[np.int64]
    label_counts: NDArray[np.int64]
    delays: NDArray[np.float64]

    @classmethod
    def of_sizes(cls, remaining: NDArray[np.int64] | list[int]) -> "Holdings":
        """Make holdings of which only the sizes are known."""
        sizes = np.asarray(remaining, dtype=np.int64)
        return cls(sizes, sizes[:, None], np.full(len(sizes), np.nan))
