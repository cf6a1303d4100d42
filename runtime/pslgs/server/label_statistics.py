"""Label counts of all clients' data, and the quality of a global batch."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pslgs.sampling.deviation import BatchQuality, batch_quality


class LabelStatistics:
    """The label counts that every client reported when it joined last."""

    def __init__(self, classes: int | None) -> None:
        self._classes = classes
        self._counts: dict[str, tuple[int, ...]] = {}
        self._pooled: NDArray[np.int64] = np.zeros(classes or 0, dtype=np.int64)

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

    def record(self, client: str, counts: Sequence[int]) -> None:
        """Record a client's number of samples of each class, in place of earlier ones."""
        if self._classes is None:
            return
        self._pooled = self._pooled + np.subtract(counts, self._counts.get(client, 0))
        self._counts[client] = tuple(counts)

    def by_client(self) -> dict[str, tuple[int, ...]]:
        """Return the label counts by client, for a checkpoint."""
        return dict(self._counts)

    def quality(self, labels: NDArray[np.int64]) -> BatchQuality:
        """Return the quality of a global batch by its labels, as class numbers; shape (B,).

        May be called in any thread, since a client that joins replaces the pooled counts as a whole.
        """
        return batch_quality(labels, None if self._classes is None else self._pooled)
