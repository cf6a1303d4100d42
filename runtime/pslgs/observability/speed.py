"""Throughput of a run over its last steps."""

from dataclasses import dataclass, replace

WINDOW = 50
"""Number of steps over which the throughput is measured."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Times of the last committed steps; the time between steps includes waits.

    Attributes:
        commits: Unix time in seconds and number of samples of each step, the oldest first.  Only the time
            of the oldest is used.
    """

    commits: tuple[tuple[float, int], ...] = ()

    def after(self, time: float, samples: int) -> "Speed":
        """Return the throughput after another step; the oldest step of a full window is dropped."""
        return replace(self, commits=(*self.commits, (time, samples))[-WINDOW - 1 :])

    @property
    def samples_per_second(self) -> float | None:
        """Samples per second; None before the second step."""
        return sum(samples for _, samples in self.commits[1:]) / self._seconds if self._seconds else None

    @property
    def seconds_per_step(self) -> float | None:
        """Mean seconds per step; None before the second step."""
        return self._seconds / (len(self.commits) - 1) if self._seconds else None

    @property
    def _seconds(self) -> float:
        return max(0.0, self.commits[-1][0] - self.commits[0][0]) if self.commits else 0.0
