"""The journal of a run: ``metrics.jsonl``, one record a line, the oldest first.

A journal can have gigabytes: 10,000 bytes a step at 100 active clients.  Opening it, and cutting it where a
resumed run goes on, therefore read its end and no more.
"""

import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

from pslgs.observability.encoding import decode, encode
from pslgs.observability.records import (
    CheckpointRecord,
    EvaluationRecord,
    Record,
    SkippedRecord,
    StepRecord,
)

FILE_NAME = "metrics.jsonl"
DAMAGED_SUFFIX = ".damaged"

_BLOCK_BYTES = 1 << 20
_SEARCH_BYTES = 64 << 20
"""How far back the last evaluation is looked for in the journal of an earlier version."""
_LINE_LIMIT = 16 << 20
"""A record is shorter; a longer line is a hole in the file."""

_logger = logging.getLogger(__name__)


class JournalError(ValueError):
    """A whole line of a journal is not a record of this version."""


class _Line(NamedTuple):
    """A line of a journal.

    Attributes:
        start: Offset of its first byte.
        end: Offset after its line break.
        record: None where the line is not a record of this version.
    """

    start: int
    end: int
    record: Record | None


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

    @property
    def size(self) -> int:
        """Bytes written so far: where the next record will begin."""
        return os.fstat(self._file.fileno()).st_size

    def append(self, record: Record) -> None:
        """Write a record, and hand it to the operating system before returning."""
        self._file.write(encode(record) + b"\n")
        self._file.flush()

    def cut_after(self, step: int, size: int | None = None) -> list[Record]:
        """Cut off what happened after the checkpoint of ``step``, because it will happen again.

        What was merely noted after it (clients that came or left, the checkpoint itself, a stop) stays.
        Lines that are not records do not prevent the cut; what is cut off with them is kept in a file beside
        the journal, with a warning.

        Args:
            step: Step of the checkpoint; 0 where there is none.
            size: `size` when the checkpoint was made.  None where it is not known: then the last record that
                the checkpoint knows of is looked for from the end on.

        Returns:
            The records from there to the cut; without ``size``, after those that last told of a step, an
            evaluation and a checkpoint.
        """
        with self.path.open("rb") as file:
            known: list[Record] = []
            if size is not None and _ends_record(file, size, step):
                start = size
            else:
                if size is not None:
                    _logger.warning("%s is not the journal that step %d was saved with", self.path, step)
                start, known = _last_known(file, self.size, step)
            kept, cut, damaged = _kept_tail(file, start, step)
        if damaged:
            self._set_aside(cut)
        self._file.truncate(cut)
        os.fsync(self._file.fileno())
        return [*known, *kept]

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        self._file.close()

    def _set_aside(self, start: int) -> None:
        aside = self.path.with_name(self.path.name + DAMAGED_SUFFIX)
        try:
            with self.path.open("rb") as file, aside.open("wb") as copy:
                file.seek(start)
                shutil.copyfileobj(file, copy, _BLOCK_BYTES)
        except OSError as error:
            _logger.warning("the damaged end of %s is dropped, for it cannot be kept: %s", self.path, error)
        else:
            _logger.warning(
                "the journal %s is damaged from byte %d on; that part is in %s", self.path, start, aside
            )


def read(path: Path) -> list[Record]:
    """Read a journal, also one that is being written; a torn last line is left out.

    Raises:
        JournalError: another line is not a record.
        OSError: the file cannot be read.
    """
    return list(_records(path))


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
    if path.exists():
        with path.open("rb+") as file:
            file.truncate(_end_of_lines(file))


def _end_of_lines(file: BinaryIO) -> int:
    """Return the offset after the last line break, 0 where there is none."""
    position = file.seek(0, os.SEEK_END)
    while position > 0:
        start = max(0, position - _BLOCK_BYTES)
        file.seek(start)
        found = file.read(position - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        position = start
    return 0


def _ends_record(file: BinaryIO, size: int, step: int) -> bool:
    """Tell whether the first ``size`` bytes can be what a checkpoint of ``step`` saw of the journal."""
    if size == 0 or size > file.seek(0, os.SEEK_END):
        return size == 0
    file.seek(size - 1)
    if file.read(1) != b"\n":
        return False
    last = next(_lines_backwards(file, size)).record
    return last is not None and not (isinstance(last, StepRecord) and _is_later(last, step))


def _last_known(file: BinaryIO, end: int, step: int) -> tuple[int, list[Record]]:
    """Find the end of the last record that a checkpoint of ``step`` surely knows.

    Returns:
        Its end, 0 where there is none; and the records that last told of a step, an evaluation and a
        checkpoint.
    """
    start: int | None = None
    found: dict[type, Record] = {}
    for line in _lines_backwards(file, end):
        record = line.record
        if start is None and record is not None and _is_known(record, step):
            start = line.end
        if start is not None:
            if isinstance(record, StepRecord | EvaluationRecord | CheckpointRecord):
                found.setdefault(type(record), record)
            if len(found) == 3 or start - line.start > _SEARCH_BYTES:
                break
    return start or 0, list(found.values())


def _kept_tail(file: BinaryIO, start: int, step: int) -> tuple[list[Record], int, bool]:
    """Read on from ``start`` to the first line that belongs to what will happen again.

    Returns:
        The records before that line, its offset, and whether it is no record at all.
    """
    kept: list[Record] = []
    file.seek(start)
    cut = start
    while content := file.readline(_LINE_LIMIT):
        record = _decoded(content)
        if record is None:
            return kept, cut, True
        if _is_later(record, step) or isinstance(record, SkippedRecord | EvaluationRecord):
            break
        kept.append(record)
        cut += len(content)
    return kept, cut, False


def _is_known(record: Record, step: int) -> bool:
    match record:
        case StepRecord():
            return record.step <= step
        case CheckpointRecord(error=None):
            return record.step == step
        case _:
            return False


def _is_later(record: Record, step: int) -> bool:
    return not isinstance(record, SkippedRecord) and record.step > step


def _lines_backwards(file: BinaryIO, end: int) -> Iterator[_Line]:
    """Yield the lines before ``end``, the offset after a line break, from the last to the first."""
    rest, position = b"", end
    while position > 0:
        size = min(_BLOCK_BYTES, position)
        position -= size
        file.seek(position)
        lines = _split(file.read(size) + rest)
        # The first line may begin in the block before; one without an end is no line of a journal.
        rest = lines.pop(0) if position > 0 and len(lines[0]) <= _LINE_LIMIT else b""
        line_end = position + len(rest) + sum(map(len, lines))
        for content in reversed(lines):
            yield _Line(line_end - len(content), line_end, _decoded(content))
            line_end -= len(content)


def _split(block: bytes) -> list[bytes]:
    """Split after line feeds, and unlike `bytes.splitlines` nowhere else."""
    *lines, last = block.split(b"\n")
    return [line + b"\n" for line in lines] + ([last] if last else [])


def _decoded(content: bytes) -> Record | None:
    try:
        return decode(content)
    except ValueError:
        return None
