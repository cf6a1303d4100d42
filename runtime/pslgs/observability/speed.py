"""How fast a run is, measured over its last steps."""

from dataclasses import dataclass, replace

WINDOW = 50
"""Steps that are measured."""


@dataclass(frozen=True, slots=True)
class Speed:
    """The times at which the last steps were committed, the oldest first; waits between them count.

    Attributes:
        commits: Unix time in seconds and samples of each; of the oldest only the time counts.
    """

    commits: tuple[tuple[float, int], ...] = ()

    def after(self, time: float, samples: int) -> "Speed":
        """Take in one more step, and forget the oldest of a full window."""
        return replace(self, commits=(*self.commits, (time, samples))[-WINDOW - 1 :])

    @property
    def samples_per_second(self) -> float | None:
        """None before the second step."""
        return sum(samples for _, samples in self.commits[1:]) / self._seconds if self._seconds else None

    @property
    def seconds_per_step(self) -> float | None:
        """None before the second step."""
        return self._seconds / (len(self.commits) - 1) if self._seconds else None

    @property
    def _seconds(self) -> float:
        return max(0.0, self.commits[-1][0] - self.commits[0][0]) if self.commits else 0.0
