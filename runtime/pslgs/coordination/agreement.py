"""Decides what holds for a whole job where only its clients can say it and one of them may be wrong."""

from collections import Counter
from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar

Value = TypeVar("Value", bound=Hashable)


class Agreed(NamedTuple, Generic[Value]):
    """What clients agree on.

    Attributes:
        value: The value.
        proved: Whether more than half of the expected clients stated it at one time, so that no later
            statement changes it.
    """

    value: Value
    proved: bool


class Agreement(Generic[Value]):
    """Counts the statements of connected clients, one of each.

    A value is proved once more than half of the clients state it: of those that are expected, or of those
    that are connected if they are more.  Where so many do not come, a value holds for the time being as soon
    as no new client has come for the patience, if at least a quorum states it and no other value has as many
    clients.  It is given up with its last client.
    """

    def __init__(self, expected: int, quorum: int, patience_seconds: float) -> None:
        self._expected = expected
        self._quorum = quorum
        self._patience = patience_seconds
        self._values: dict[str, Value] = {}
        self._counts: Counter[Value] = Counter()
        self._known: set[str] = set()
        self._last_arrival = 0.0
        self._proved: Value | None = None
        self._provisional: Value | None = None

    def state(self, client: str, value: Value, now: float) -> None:
        """Note what a client states; it replaces what the client stated before."""
        self.withdraw(client)
        self._values[client] = value
        self._counts[value] += 1
        if client not in self._known:
            # A client that connects again and again must not put off the end of the patience.
            self._known.add(client)
            self._last_arrival = now

    def withdraw(self, client: str) -> None:
        """Forget what a client stated, because it is connected no more."""
        if client in self._values:
            value = self._values.pop(client)
            self._counts[value] -= 1
            if not self._counts[value]:
                del self._counts[value]

    def agreed(self, now: float) -> Agreed[Value] | None:
        """Return what holds at ``now``; None where nothing does."""
        self._update(now)
        if self._proved is not None:
            return Agreed(self._proved, proved=True)
        return None if self._provisional is None else Agreed(self._provisional, proved=False)

    def stated(self) -> list[tuple[Value, int]]:
        """List the values with the number of their clients, most frequent first."""
        return self._counts.most_common()

    def _update(self, now: float) -> None:
        if self._provisional not in self._counts:
            self._provisional = None
        if self._proved is not None or not self._counts:
            return
        (value, count), *others = self._counts.most_common(2)
        if 2 * count > max(self._expected, len(self._values)):
            self._proved = value
            return
        leads = not others or others[0][1] < count
        if leads and count >= self._quorum and now - self._last_arrival > self._patience:
            self._provisional = value
