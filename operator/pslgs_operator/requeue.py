"""When to reconcile a job again although no watch reports a change."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

RESYNC: Final = timedelta(minutes=10)
"""A job is reconciled at least this often."""


@dataclass(slots=True)
class Requeue:
    """Collects the moments at which something may have to be done about a job; the earliest counts.

    Moments that are past are ignored: what was due has just been done, and reconciling at once would turn an
    error into a busy loop.
    """

    now: datetime
    delay: timedelta = RESYNC

    def at(self, *moments: datetime | None) -> None:
        """Reconcile at these moments, as far as they are known and in the future."""
        for moment in moments:
            if moment is not None and moment > self.now:
                self.delay = min(self.delay, moment - self.now)

    def after(self, *delays: timedelta | None) -> None:
        """Reconcile after these delays, as far as they are known."""
        for delay in delays:
            if delay is not None:
                self.delay = min(self.delay, delay)
