"""Appends records to a journal although its disk may be full: what it does not take is appended later."""

import logging
from collections import deque
from typing import Protocol

from pslgs.telemetry.journal import Journal
from pslgs.telemetry.records import Record, encode

WAITING_BYTES = 16 << 20
"""Maximum size of the records that wait, when they are written; beyond it the oldest are dropped."""

_logger = logging.getLogger(__name__)


class WaitingRecords(Protocol):
    """The metrics of records that could not be written."""

    def set_waiting_records(self, count: int) -> None:
        """Set the number of records that wait."""

    def count_dropped_records(self, count: int) -> None:
        """Count records that were dropped."""


class JournalWriter:
    """Appends records to a journal in their order; a record that cannot be written waits.

    Each further record, and `flush`, tries again.  An outage is logged once, and its end.
    """

    def __init__(self, journal: Journal, metrics: WaitingRecords, limit: int = WAITING_BYTES) -> None:
        self._journal = journal
        self._metrics = metrics
        self._limit = limit
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._dropped = 0
        self._failing = False

    def append(self, record: Record) -> None:
        """Append a record, after those that wait."""
        line = encode(record) + b"\n"
        self._waiting.append(line)
        self._bytes += len(line)
        self.flush()

    def flush(self) -> None:
        """Write as many of the waiting records as the disk takes."""
        try:
            while self._waiting:
                self._journal.append_line(self._waiting[0])
                self._remove_first()
        except OSError as error:
            self._drop_surplus()
            if not self._failing:
                _logger.warning(
                    "records cannot be written to %s (%s); they are kept in memory and written later",
                    self._journal.path,
                    error.strerror or error,
                )
            self._failing = True
        else:
            if self._failing:
                lost = f"; {self._dropped} of them were dropped" if self._dropped else ""
                _logger.warning("the records that waited are written to %s%s", self._journal.path, lost)
            self._failing, self._dropped = False, 0
        self._metrics.set_waiting_records(len(self._waiting))

    def close(self) -> None:
        """Try once more to write what waits, log what is lost, and close the journal."""
        self.flush()
        if lost := len(self._waiting) + self._dropped:
            _logger.warning("%s lacks %d records that could not be written", self._journal.path, lost)
        self._journal.close()

    def _remove_first(self) -> None:
        self._bytes -= len(self._waiting.popleft())

    def _drop_surplus(self) -> None:
        surplus = 0
        while self._bytes > self._limit:
            self._remove_first()
            surplus += 1
        if surplus:
            self._dropped += surplus
            self._metrics.count_dropped_records(surplus)
