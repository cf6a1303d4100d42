"""Back-off for clients that are lost again and again."""

from collections import deque
from dataclasses import dataclass

FREE_LOSSES = 3
"""Losses within the window after which a client may still join at once."""

WINDOW_SECONDS = 120.0
"""Time for which the loss of a client counts."""

FIRST_WAIT_SECONDS = 1.0
LIMIT_SECONDS = 60.0

TIME_OUT_WINDOW_SECONDS = 3600.0
"""Time for which a time-out of a client counts."""

FREE_TIME_OUTS = 1
"""Time-outs within their window after which a client may still join at once."""

TIME_OUT_LIMIT_SECONDS = 1800.0
TIME_OUTS_WAITED = 4
"""Time-outs for which a client has to wait after the first one that is not free."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """A rule for losses of one kind; all times are in seconds.

    Attributes:
        window: Time for which a loss counts.
        free: Number of losses after which a client may still join at once.
        first_wait: Wait after the first loss that is not free; it doubles with each further one.
        limit: Longest wait.
    """

    window: float
    free: int
    first_wait: float
    limit: float


class _History:
    """The losses of each client that count by a rule."""

    def __init__(self, rule: _Rule) -> None:
        self._rule = rule
        self._losses: dict[str, deque[float]] = {}

    def record(self, client: str, now: float) -> None:
        losses = self._losses.pop(client, deque())  # reinserted at the end, so that the oldest come first
        losses.append(now)
        self._losses[client] = losses
        self._remove_old(now)

    def wait_seconds(self, client: str, now: float) -> float:
        losses = self._losses.get(client)
        if not losses:
            return 0.0
        recent = sum(now - loss < self._rule.window for loss in losses)
        if recent <= self._rule.free:
            return 0.0
        wait = min(self._rule.limit, self._rule.first_wait * 2.0 ** (recent - self._rule.free - 1))
        return max(0.0, losses[-1] + wait - now)

    def _remove_old(self, now: float) -> None:
        """Remove clients without a loss in the window, and old losses of the client that was lost last."""
        for client, losses in list(self._losses.items()):
            if now - losses[-1] < self._rule.window:
                break
            del self._losses[client]
        last = next(reversed(self._losses.values()))
        while now - last[0] >= self._rule.window:
            last.popleft()


class RejoinBackoff:
    """Counts the losses of each client, and makes frequent ones wait before they join again.

    Each join aborts the attempt at a step, so a client that keeps joining and leaving would stop the
    training of all.  From the fourth loss within two minutes on, a client has to wait after each: 1 s, 2 s,
    4 s and so on up to a minute.  One that lost its connection a few times joins again at once.

    A client that owes an answer until its time-out holds up all others for that long.  From the second
    time-out within an hour on, it has to wait four time-outs, then eight and so on up to half an hour, so
    that one client can hold up a training for a small part of the time only.
    """

    def __init__(self, client_timeout: float = 30.0) -> None:
        """Begin without losses; ``client_timeout`` is how long an answer is waited for, in seconds."""
        first_wait = TIME_OUTS_WAITED * client_timeout
        self._losses = _History(_Rule(WINDOW_SECONDS, FREE_LOSSES, FIRST_WAIT_SECONDS, LIMIT_SECONDS))
        self._time_outs = _History(
            _Rule(TIME_OUT_WINDOW_SECONDS, FREE_TIME_OUTS, first_wait, TIME_OUT_LIMIT_SECONDS)
        )

    def record_loss(self, client: str, now: float, *, timed_out: bool = False) -> None:
        """Record that a client that had joined is no longer connected."""
        self._losses.record(client, now)
        if timed_out:
            self._time_outs.record(client, now)

    def wait_seconds(self, client: str, now: float) -> float:
        """Return how long a client has to wait before it may join; 0 if it may join now."""
        return max(each.wait_seconds(client, now) for each in (self._losses, self._time_outs))
