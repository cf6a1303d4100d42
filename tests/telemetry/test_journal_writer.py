"""A full disk costs records of the journal time, and only a long one some of them; never the run."""

import resource
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest

from pslgs.telemetry.journal import Journal, read
from pslgs.telemetry.journal_writer import JournalWriter
from pslgs.telemetry.records import encode


class Metrics:
    def __init__(self):
        self.waiting, self.dropped = 0, 0

    def set_waiting_records(self, count):
        self.waiting = count

    def count_dropped_records(self, count):
        self.dropped += count


@contextmanager
def full_after(size):
    """Let no file of this process grow beyond a size: a write takes what fits, and then fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def records(step):
    return [replace(step(), step=number) for number in range(1, 9)]


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path / "metrics.jsonl") as opened:
        yield opened


def test_a_record_that_does_not_fit_leaves_the_journal_as_it_was(journal, records):
    journal.append(records[0])
    before = journal.size
    with full_after(before + 10), pytest.raises(OSError, match="File too large"):
        journal.append(records[1])
    assert journal.size == before
    journal.append(records[2])
    assert read(journal.path) == [records[0], records[2]]


def test_records_wait_for_a_full_disk_and_are_written_in_order(journal, records, caplog):
    metrics = Metrics()
    writer = JournalWriter(journal, metrics)
    writer.append(records[0])
    with full_after(journal.size + 10):
        for record in records[1:4]:
            writer.append(record)
    assert (metrics.waiting, metrics.dropped) == (3, 0)
    assert caplog.text.count("records cannot be written") == 1
    writer.append(records[4])
    assert read(journal.path) == records[:5]
    assert metrics.waiting == 0
    assert "the records that waited are written" in caplog.text


def test_waiting_records_are_written_before_a_checkpoint_notes_the_size(journal, records):
    writer = JournalWriter(journal, Metrics())
    with full_after(0):
        writer.append(records[0])
    writer.flush()
    assert journal.size == len(encode(records[0])) + 1
    assert read(journal.path) == records[:1]


def test_the_oldest_records_are_dropped_when_too_many_wait(journal, records, caplog):
    metrics = Metrics()
    writer = JournalWriter(journal, metrics, limit=3 * (len(encode(records[0])) + 1))
    with full_after(0):
        for record in records[:5]:
            writer.append(record)
    assert (metrics.waiting, metrics.dropped) == (3, 2)
    writer.append(records[5])
    assert read(journal.path) == records[2:6]
    assert "2 of them were dropped" in caplog.text


def test_what_is_lost_at_the_end_is_told(journal, records, caplog):
    writer = JournalWriter(journal, Metrics())
    with full_after(0), suppress(OSError):
        writer.append(records[0])
        writer.close()
    assert "lacks 1 records" in caplog.text
