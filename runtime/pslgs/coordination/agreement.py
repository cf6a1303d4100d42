"""Agreement of clients on a property of the whole job, of which some may state a wrong value."""

from collections import Counter
from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar

Value = TypeVar("Value", bound=Hashable)


class Agreed(NamedTuple, Generic[Value]):
    """A value that clients agree on.

    Attributes:
        value: The value.
        proved: Whether more than half of the expected clients stated it at one time, so that no later
            statement changes it.  Otherwise the agreement is provisional.
    """

    value: Value
    proved: bool


class Agreement(Generic[Value]):
    """Counts the values that the connected clients state, one each.

    A value is proved once more than half of the clients state it: of the expected clients, or of the
    connected ones if these are more.  A value is agreed on provisionally if no new client has joined for
    ``patience_seconds``, at least ``quorum`` clients state it, and no other value is stated by as many.
    A provisional agreement ends when no client states its value any more.
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
        """Record the value that a client states, in place of its earlier one."""
        self.withdraw(client)
        self._values[client] = value
        self._counts[value] += 1
        if client not in self._known:
            # A client that connects again and again must not extend the wait.
            self._known.add(client)
            self._last_arrival = now

    def withdraw(self, client: str) -> None:
        """Remove the value of a client that is no longer connected."""
        if client in self._values:
            value = self._values.pop(client)
            self._counts[value] -= 1
            if not self._counts[value]:
                del self._counts[value]

    def agreed(self, now: float) -> Agreed[Value] | None:
        """Return the value that clients agree on at ``now``; None if there is none."""
        self._update(now)
        if self._proved is not None:
            return Agreed(self._proved, proved=True)
        return None if self._provisional is None else Agreed(self._provisional, proved=False)

    def counts(self) -> list[tuple[Value, int]]:
        """List the stated values with their numbers of clients, most frequent first."""
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
