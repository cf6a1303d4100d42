"""Violations of the protocol by clients, and the reaction to each."""

from collections import Counter
from enum import Enum, auto

from pslgs.spec.fault_tolerance import OnHostile

VIOLATIONS_LIMIT = 3
"""Violations of one client after which it is excluded, if the first one does not exclude it."""


class Reaction(Enum):
    """What happens to a client that violated the protocol, and to its job."""

    DROP = auto()
    """Its connection ends; it may return."""
    EXCLUDE = auto()
    """Its connection ends, and it may not return to this server process."""
    FAIL = auto()
    """The job ends."""


class Violations:
    """Counts the violations of each client, and decides on the reactions.

    A violation is what no client that follows the protocol sends, however slow or broken its connection is.
    """

    def __init__(self, policy: OnHostile) -> None:
        self._policy = policy
        self._counts: Counter[str] = Counter()

    def record(self, client: str) -> Reaction:
        """Record a violation of a client, and return the reaction to it."""
        self._counts[client] += 1
        if self._policy is OnHostile.FAIL:
            return Reaction.FAIL
        at_once = self._policy is OnHostile.EXCLUDE_CLIENT
        return Reaction.EXCLUDE if at_once or self.count(client) >= VIOLATIONS_LIMIT else Reaction.DROP

    def count(self, client: str) -> int:
        """Return the number of violations of a client so far."""
        return self._counts[client]
