"""When to reconcile a job again although no watch reports a change."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

RESYNC: Final = timedelta(minutes=10)
"""A job is reconciled at least this often."""


@dataclass(slots=True)
class Requeue:
    """Collects the times at which something may have to be done about a job; the earliest counts.

    Times that are past are ignored: what was due has just been done, and reconciling at once would turn an
    error into a busy loop.

    Attributes:
        now: The time at which the reconcile began.
        due: The time of the next reconcile.
    """

    now: datetime
    due: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.due = self.now + RESYNC

    def at(self, *times: datetime | None) -> None:
        """Reconcile at these times, as far as they are known and in the future."""
        for time in times:
            if time is not None and time > self.now:
                self.due = min(self.due, time)

    def after(self, delay: timedelta) -> None:
        """Reconcile after a delay, which may be zero."""
        self.due = min(self.due, self.now + delay)

    def delay(self, now: datetime) -> timedelta:
        """Return how long it is from ``now``, the end of the reconcile, until the next one."""
        return max(timedelta(0), self.due - now)
