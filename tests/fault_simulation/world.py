"""A virtual world: one clock, one queue of things to come, links that keep the order of what they carry."""

import heapq
import random
from collections.abc import Callable
from itertools import count

from fault_simulation.audit import InvariantError

Action = Callable[[], None]


class Clock:
    """Virtual time, which jumps from one action to the next.

    Attributes:
        now: Seconds since the beginning.
        rng: Random numbers of whatever happens.
        trace: What happened, one line each; None if nobody wants to know.
    """

    def __init__(self, seed: int, *, traced: bool = False) -> None:
        self.now = 0.0
        self.rng = random.Random(seed)  # noqa: S311 - no secret
        self.trace: list[str] | None = [] if traced else None
        self._queue: list[tuple[float, int, bool, Action]] = []
        self._numbers = count()
        self._awaited = 0

    @property
    def awaited(self) -> int:
        """Number of actions to come, apart from those that only measure time."""
        return self._awaited

    def at(self, time: float, action: Action, *, timer: bool = False) -> None:
        """Do something at a time; actions at the same time are done in the order of these calls.

        Args:
            time: Virtual time.
            action: What to do.
            timer: Whether it comes again and again, and only measures time.
        """
        self._awaited += not timer
        heapq.heappush(self._queue, (max(time, self.now), next(self._numbers), timer, action))

    def after(self, seconds: float, action: Action) -> None:
        """Do something in ``seconds``."""
        self.at(self.now + seconds, action)

    def about(self, seconds: float) -> float:
        """Return a random duration of about ``seconds``."""
        return seconds * (0.5 + self.rng.random())

    def step(self) -> None:
        """Do the next action.

        Raises:
            InvariantError: there is none.
        """
        if not self._queue:
            raise InvariantError("nothing is left to do")
        self.now, _, timer, action = heapq.heappop(self._queue)
        self._awaited -= not timer
        action()

    def note(self, what: object, indent: str = "") -> None:
        """Add a line to the trace."""
        if self.trace is not None:
            self.trace.append(f"{self.now:9.3f}  {indent}{what}")


class Process:
    """Whatever can be stopped and continued: while it is stopped, what comes to it waits."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stopped_until = 0.0

    def stop_for(self, seconds: float) -> None:
        """Stop it for a while."""
        self._stopped_until = max(self._stopped_until, self._clock.now + seconds)

    @property
    def is_stopped(self) -> bool:
        """Whether it is stopped at present."""
        return self._clock.now < self._stopped_until

    def when_running(self, action: Action) -> Action:
        """Return an action that waits while the process is stopped, in the order of arrival."""

        def run() -> None:
            if self._clock.now < self._stopped_until:
                self._clock.at(self._stopped_until, run)
            else:
                action()

        return run


class Direction:
    """One direction of a stream: what is sent arrives later, and in order."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = 0.0

    def send(self, seconds: float, arrive: Action) -> float:
        """Have something arrive after about ``seconds``; return when."""
        self._last = max(self._last, self._clock.now + self._clock.about(seconds))
        self._clock.at(self._last, arrive)
        return self._last
