"""Back-off for clients that are lost again and again."""

from collections import deque

WINDOW_SECONDS = 120.0
"""Time for which the loss of a client counts."""

FREE_LOSSES = 3
"""Losses within the window after which a client may still join at once."""

FIRST_WAIT_SECONDS = 1.0
LIMIT_SECONDS = 60.0


class RejoinBackoff:
    """Counts the losses of each client, and makes frequent ones wait before they join again.

    Each join aborts the attempt at a step, so a client that keeps joining and leaving would stop the
    training of all.  From the fourth loss within two minutes on, a client has to wait after each: 1 s, 2 s,
    4 s and so on up to a minute.  One that lost its connection a few times joins again at once.
    """

    def __init__(self) -> None:
        self._losses: dict[str, deque[float]] = {}

    def record_loss(self, client: str, now: float) -> None:
        """Record that a client that had joined is no longer connected."""
        losses = self._losses.pop(client, deque())  # reinserted at the end, so that the oldest come first
        losses.append(now)
        self._losses[client] = losses
        self._remove_old(now)

    def wait_seconds(self, client: str, now: float) -> float:
        """Return how long a client has to wait before it may join; 0 if it may join now."""
        losses = self._losses.get(client)
        if not losses:
            return 0.0
        recent = sum(now - loss < WINDOW_SECONDS for loss in losses)
        if recent <= FREE_LOSSES:
            return 0.0
        wait = min(LIMIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** (recent - FREE_LOSSES - 1))
        return max(0.0, losses[-1] + wait - now)

    def _remove_old(self, now: float) -> None:
        """Remove clients without a loss in the window, and old losses of the client that was lost last."""
        for client, losses in list(self._losses.items()):
            if now - losses[-1] < WINDOW_SECONDS:
                break
            del self._losses[client]
        last = next(reversed(self._losses.values()))
        while now - last[0] >= WINDOW_SECONDS:
            last.popleft()
