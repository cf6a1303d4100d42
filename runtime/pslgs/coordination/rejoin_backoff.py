"""Back-off for clients that are lost again and again."""

from collections import deque

FREE_LOSSES = 3
"""Losses within the window after which a client may still join at once."""

WINDOW_SECONDS = 120.0
"""Time for which the loss of a client counts."""

FIRST_WAIT_SECONDS = 1.0
LIMIT_SECONDS = 60.0

HELD_UP_WINDOW_SECONDS = 3600.0
"""Time for which counts how long a client held up the others."""

HELD_UP_LIMIT_SECONDS = 1800.0
HELD_UP_FACTOR = 4
"""Time that a client has to wait, in units of the time for which it held up the others."""


class RejoinBackoff:
    """Counts the losses of each client, and makes frequent ones wait before they join again.

    Each join aborts the attempt at a step, so a client that keeps joining and leaving would stop the
    training of all.  From the fourth loss within two minutes on, a client has to wait after each: 1 s, 2 s,
    4 s and so on up to a minute.  One that lost its connection a few times joins again at once.

    A client that owes an answer holds up all others, until its time-out, until it leaves, or until it joins
    anew.  From the second such stall within an hour on, it has to wait four times as long as it held up the
    others without the first time, up to half an hour, so that it can do so for a fifth of the time at most.
    """

    def __init__(self) -> None:
        self._losses: dict[str, deque[float]] = {}
        self._held_up: dict[str, deque[tuple[float, float]]] = {}

    def record_loss(self, client: str, now: float) -> None:
        """Record that a client that had joined is no longer connected, at a time in seconds."""
        losses = self._losses.pop(client, deque())  # reinserted at the end, so that the oldest come first
        losses.append(now)
        self._losses[client] = losses
        self._remove_old(now)

    def record_stall(self, client: str, now: float, held_up: float) -> None:
        """Record that others had waited in vain for an answer of a client, for ``held_up`` seconds."""
        if held_up > 0:
            stalls = self._held_up.pop(client, deque())
            stalls.append((now, held_up))
            self._held_up[client] = stalls
            self._remove_old(now)

    def wait_seconds(self, client: str, now: float) -> float:
        """Return how long a client has to wait before it may join; 0 if it may join now."""
        return max(self._after_losses(client, now), self._after_stalls(client, now))

    def _after_losses(self, client: str, now: float) -> float:
        losses = self._losses.get(client)
        if not losses:
            return 0.0
        recent = sum(now - loss < WINDOW_SECONDS for loss in losses)
        if recent <= FREE_LOSSES:
            return 0.0
        wait = min(LIMIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** (recent - FREE_LOSSES - 1))
        return max(0.0, losses[-1] + wait - now)

    def _after_stalls(self, client: str, now: float) -> float:
        stalls = self._held_up.get(client, ())
        recent = [(loss, held_up) for loss, held_up in stalls if now - loss < HELD_UP_WINDOW_SECONDS]
        if len(recent) <= 1:
            return 0.0
        wait = HELD_UP_FACTOR * sum(held_up for _, held_up in recent[1:])
        return max(0.0, recent[-1][0] + min(HELD_UP_LIMIT_SECONDS, wait) - now)

    def _remove_old(self, now: float) -> None:
        """Remove clients without a loss in the windows, and old losses of the others that were lost last."""
        for client, losses in list(self._losses.items()):
            if now - losses[-1] < WINDOW_SECONDS:
                break
            del self._losses[client]
        if self._losses:
            last = next(reversed(self._losses.values()))
            while now - last[0] >= WINDOW_SECONDS:
                last.popleft()
        for client, stalls in list(self._held_up.items()):
            if now - stalls[-1][0] < HELD_UP_WINDOW_SECONDS:
                break
            del self._held_up[client]
        if self._held_up:
            latest = next(reversed(self._held_up.values()))
            while now - latest[0][0] >= HELD_UP_WINDOW_SECONDS:
                latest.popleft()
