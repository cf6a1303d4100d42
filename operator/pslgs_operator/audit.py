"""Whether the watches still tell everything: what they told is compared with what the API server lists.

A watch can fall silent while its connection and all else look well; then an operator is alive and deaf.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from pslgs_operator.cache import Cache, Change, ObjectKey, is_newer
from pslgs_operator.resources import Resource

INTERVAL: Final = timedelta(seconds=60)
"""Between two audits."""
DEAF_AFTER: Final = timedelta(seconds=90)
"""A watch that owes something for so long tells nothing any more; a healthy one needs a second."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What the API server lists of a kind: the objects' resourceVersions, and the list's own."""

    version: str
    objects: Mapping[ObjectKey, str]


def together(listings: Sequence[Listing]) -> Listing:
    """Put the listings of several namespaces together; they are as old as the oldest."""
    oldest = min((listing.version for listing in listings), key=lambda version: (len(version), version))
    return Listing(oldest, {key: version for each in listings for key, version in each.objects.items()})


@dataclass(frozen=True, slots=True)
class Debt:
    """A state of an object that the watch should have told of, listed at ``since``."""

    version: str
    since: datetime


@dataclass(slots=True, eq=False)
class Hearing:
    """How well the watch of one kind of objects hears.

    Attributes:
        agreed: When it was last known to have told everything.
    """

    cache: Cache[Any]
    agreed: datetime
    _debts: dict[ObjectKey, Debt] = field(default_factory=dict)

    @property
    def resource(self) -> Resource:
        """What it watches."""
        return self.cache.resource

    def age(self, now: datetime) -> timedelta:
        """For how long it has not been known to have told everything."""
        return now - self.agreed

    def is_deaf(self, now: datetime) -> bool:
        """Tell whether it owes something for too long."""
        return any(
            now - debt.since > DEAF_AFTER and not self._is_paid(key, debt)
            for key, debt in self._debts.items()
        )

    def compare(self, listing: Listing, now: datetime) -> list[Change[Any]]:
        """Compare with what is listed; returns what is gone untold, and is now forgotten.

        A watch that had to begin anew after an outage doesn't tell what was deleted meanwhile.
        """
        told = self.cache.all()
        self._debts = {
            key: self._debt(key, version, now)
            for key, version in listing.objects.items()
            if key not in told or is_newer(version, told[key].version)
        }
        if not self._debts:
            self.agreed = now
        gone = [
            key
            for key, entry in told.items()
            if key not in listing.objects and not is_newer(entry.version, listing.version)
        ]
        return [change for key in gone if (change := self.cache.drop(key)) is not None]

    def _debt(self, key: ObjectKey, version: str, now: datetime) -> Debt:
        """Keep a debt until it is paid; each state of an object that changes often is one of its own."""
        old = self._debts.get(key)
        return Debt(version, now) if old is None or self._is_paid(key, old) else old

    def _is_paid(self, key: ObjectKey, debt: Debt) -> bool:
        told = self.cache.all().get(key)
        return told is not None and not is_newer(debt.version, told.version)
