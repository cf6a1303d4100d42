"""The journal of a run: ``metrics.jsonl``, one record a line, the oldest first."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from pslgs.observability.encoding import decode, encode
from pslgs.observability.records import CheckpointRecord, Record, SkippedRecord, StepRecord

FILE_NAME = "metrics.jsonl"


class JournalError(ValueError):
    """A whole line of a journal is not a record of this version."""


class Journal:
    """Writes records to the end of a file; what a crash left half-written there is cut off first.

    Raises:
        OSError: the file cannot be opened, read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        _cut_torn_line(path)
        self._file = path.open("ab")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def append(self, record: Record) -> None:
        """Write a record, and hand it to the operating system before returning."""
        self._file.write(encode(record) + b"\n")
        self._file.flush()

    def truncate_after(self, step: int) -> None:
        """Forget what happened after the checkpoint of ``step``, from which the run goes on.

        The file is replaced as a whole, so a crash leaves either the old or the new one.

        Raises:
            JournalError: a line cannot be read; the file is as it was.
        """
        kept = up_to_checkpoint(read(self.path), step)
        successor = self.path.with_name(self.path.name + ".new")
        with successor.open("wb") as file:
            file.writelines(encode(record) + b"\n" for record in kept)
            file.flush()
            os.fsync(file.fileno())
        self._file.close()
        successor.replace(self.path)
        self._file = self.path.open("ab")

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        self._file.close()


def read(path: Path) -> list[Record]:
    """Read a journal, also one that is being written; a torn last line is left out.

    Raises:
        JournalError: another line is not a record.
        OSError: the file cannot be read.
    """
    return list(_records(path))


def up_to_checkpoint(records: list[Record], step: int) -> list[Record]:
    """Select the records of what the checkpoint of ``step`` knows.

    Skipped samples carry no step.  They are known to the checkpoint if a step or checkpoint that is kept
    was written after them.
    """
    kept: list[Record] = []
    settled = False
    for record in reversed(records):
        if isinstance(record, SkippedRecord):
            if settled:
                kept.append(record)
        elif record.step <= step:
            kept.append(record)
            settled = settled or isinstance(record, StepRecord | CheckpointRecord)
    return kept[::-1]


def _records(path: Path) -> Iterator[Record]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                yield decode(line)
            except ValueError as error:
                raise JournalError(f"{path}, line {number}: {error}") from error


def _cut_torn_line(path: Path) -> None:
    if not path.exists():
        return
    with path.open("rb+") as file:
        size = 0
        for line in file:
            size += len(line) if line.endswith(b"\n") else 0
        file.truncate(size)
