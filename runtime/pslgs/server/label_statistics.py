"""Check of clients' label counts, and the quality of a global batch by its labels."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pslgs.coordination.membership import Membership
from pslgs.sampling.deviation import BatchQuality, batch_quality


class LabelStatistics:
    """Label counts of the members of a job; reads them from the membership and has no state of its own."""

    def __init__(self, classes: int | None, membership: Membership) -> None:
        """Make it for a task with ``classes`` classes; None for a task without classes."""
        self._classes = classes
        self._membership = membership

    def violation(self, samples: int, counts: Sequence[int]) -> str | None:
        """Describe what is wrong with a client's label counts; None if they are valid."""
        if self._classes is None:
            return f"{len(counts)} label counts came for a task without classes" if counts else None
        if len(counts) != self._classes or sum(counts) != samples:
            return (
                f"{len(counts)} label counts with a sum of {sum(counts)} do not fit {samples} samples of "
                f"{self._classes} classes"
            )
        return None

    def pooled(self) -> list[int]:
        """Return the samples of each class at all clients; empty for a task without classes."""
        counts: list[int] = self._membership.pooled_label_counts.tolist()
        return counts

    def quality(self, labels: NDArray[np.int64]) -> BatchQuality:
        """Return the quality of a global batch by its labels, as class numbers; shape (B,).

        May be called in any thread.
        """
        return batch_quality(labels, None if self._classes is None else self._membership.pooled_label_counts)
