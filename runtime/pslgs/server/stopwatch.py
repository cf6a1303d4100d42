"""Where the time of a step goes."""

from collections.abc import Callable


class Stopwatch:
    """Times the phases of an attempt, and each client's answers in them.

    Attributes:
        seconds: Phase -> duration of the phases that are over.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.seconds: dict[str, float] = {}
        self._clock = clock
        self._since = clock()
        self._answers: dict[str, list[float]] = {}

    def lap(self, phase: str) -> None:
        """Note that ``phase`` is over and the next one begins."""
        now = self._clock()
        self.seconds[phase] = now - self._since
        self._since = now

    def answered(self, client: str) -> None:
        """Note that a client's answer in the present phase is complete."""
        self._answers.setdefault(client, []).append(self._clock() - self._since)

    def response_seconds(self) -> dict[str, tuple[float, float]]:
        """Return client -> time until its smashed data, its gradient were complete."""
        return {client: (times[0], times[1]) for client, times in self._answers.items() if len(times) == 2}
