"""The journal of a run, ``metrics.jsonl``: one record per line, the oldest first.

A journal can grow to gigabytes: about 10,000 bytes per step with 100 active clients.  Opening it, and
truncating it when a run resumes, therefore read its end only.
"""

import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

from pslgs.telemetry.records import (
    CheckpointRecord,
    EvaluationRecord,
    Record,
    SkippedRecord,
    StepRecord,
    decode,
    encode,
)

FILE_NAME = "metrics.jsonl"
DAMAGED_SUFFIX = ".damaged"

_BLOCK_BYTES = 1 << 20
_SEARCH_BYTES = 64 << 20
"""Bytes that are searched backwards for the last evaluation in a journal of an earlier version."""
_LINE_LIMIT = 16 << 20
"""Maximum bytes of a line; records are shorter, so a longer line is damage."""

_KIND = re.compile(rb'\{"kind":"(\w+)"')
_LAST_KINDS = frozenset({StepRecord.kind, EvaluationRecord.kind, CheckpointRecord.kind})
"""Kinds whose last record `truncate_after` returns, although it is older than the checkpoint."""

_logger = logging.getLogger(__name__)


class JournalError(ValueError):
    """Raised when a complete line of a journal is not a valid record."""


class _Line(NamedTuple):
    """A line of a journal: the offset of its first byte, and its content with the line break."""

    start: int
    content: bytes


class Journal:
    """A journal opened for appending; an incomplete last line, left by a crash, is removed first.

    Raises:
        OSError: the file cannot be opened, read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        _remove_incomplete_line(path)
        self._file = path.open("ab", buffering=0)
        self._size = self._file.seek(0, os.SEEK_END)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def size(self) -> int:
        """Size of all records in bytes, which is the offset of the next one."""
        return self._size

    def append(self, record: Record) -> None:
        """Append a record.

        Raises:
            OSError: it cannot be written; the journal stays without it.
        """
        self.append_line(encode(record) + b"\n")

    def append_line(self, line: bytes) -> None:
        """Append an encoded record with its line break, as `append` does.

        Raises:
            OSError: it cannot be written; the journal stays without it.
        """
        if os.fstat(self._file.fileno()).st_size > self._size:
            self._file.truncate(self._size)  # a part of a record, which a full disk left
        rest = memoryview(line)
        while rest:
            rest = rest[self._file.write(rest) :]
        self._size += len(line)

    def truncate_after(self, step: int, size: int | None = None) -> list[Record]:
        """Truncate the journal after the checkpoint of ``step``, from which the run resumes.

        Records that do not depend on steps (clients that joined or were lost, the checkpoint itself, an
        interruption) and directly follow the checkpoint are kept.  If the truncated part contains invalid
        lines, it is saved to a file beside the journal, and a warning is logged.

        Args:
            step: Step of the checkpoint; 0 if there is none.
            size: Value of `size` when the checkpoint was written.  If None, the last record before the
                checkpoint is searched backwards from the end.

        Returns:
            The kept records after the checkpoint.  Without ``size``, they are preceded by the last records of
            a step, an evaluation and a checkpoint.
        """
        with self.path.open("rb") as file:
            known: list[Record] = []
            if size is not None and _ends_record(file, size, step):
                start = size
            else:
                if size is not None:
                    _logger.warning("%s does not match the checkpoint of step %d", self.path, step)
                start, known = _find_last_known(file, self.size, step)
            kept, cut, damaged = _read_kept_tail(file, start, step)
        if damaged:
            self._save_damaged_part(cut)
        self._file.truncate(cut)
        self._size = cut
        os.fsync(self._file.fileno())
        return [*known, *kept]

    def close(self) -> None:
        """Close the file; has no effect if it is closed."""
        self._file.close()

    def _save_damaged_part(self, start: int) -> None:
        damaged_path = self.path.with_name(self.path.name + DAMAGED_SUFFIX)
        try:
            with self.path.open("rb") as file, damaged_path.open("wb") as copy:
                file.seek(start)
                shutil.copyfileobj(file, copy, _BLOCK_BYTES)
        except OSError as error:
            _logger.warning("the damaged end of %s is lost, because saving it failed: %s", self.path, error)
        else:
            _logger.warning(
                "the journal %s is damaged from byte %d on; this part was moved to %s",
                self.path,
                start,
                damaged_path,
            )


def read(path: Path, on_damaged: Callable[[str], None] | None = None) -> list[Record]:
    """Read a journal, which may be open for writing; an incomplete last line is ignored.

    Args:
        path: The file.
        on_damaged: Called with a message for each complete line that is not a valid record; such lines are
            then skipped.

    Raises:
        JournalError: a complete line is not a valid record, and ``on_damaged`` is not given.
        OSError: the file cannot be read.
    """
    return list(_records(path, on_damaged))


def _records(path: Path, on_damaged: Callable[[str], None] | None) -> Iterator[Record]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                yield decode(line)
            except ValueError as error:
                if on_damaged is None:
                    raise JournalError(f"{path}, line {number}: {error}") from error
                on_damaged(f"{path}, line {number}: {error}")


def _remove_incomplete_line(path: Path) -> None:
    if path.exists():
        with path.open("rb+") as file:
            file.truncate(_end_of_lines(file))


def _end_of_lines(file: BinaryIO) -> int:
    """Return the offset after the last line break; 0 if there is none."""
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
    """Return whether the first ``size`` bytes can be the journal as of the checkpoint of ``step``."""
    if size <= 0 or size > file.seek(0, os.SEEK_END):
        return size == 0
    file.seek(size - 1)
    if file.read(1) != b"\n":
        return False
    last = _decoded(next(_lines_backwards(file, size)).content)
    return last is not None and not (isinstance(last, StepRecord) and _is_later(last, step))


def _find_last_known(file: BinaryIO, end: int, step: int) -> tuple[int, list[Record]]:
    """Find the last record that was certainly written before the checkpoint of ``step``.

    Returns:
        Offset of its end (0 if there is none), and the last records of a step, an evaluation and a
        checkpoint up to it.
    """
    known_end: int | None = None
    found: dict[str, Record] = {}
    for line in _lines_backwards(file, end):
        if known_end is None:
            record = _decoded(line.content)
            if record is None or not _is_known(record, step):
                continue
            known_end = line.start + len(line.content)
        kind = _kind(line.content)
        if kind in _LAST_KINDS and kind not in found and (record := _decoded(line.content)):
            found[kind] = record
        if len(found) == len(_LAST_KINDS) or known_end - line.start > _SEARCH_BYTES:
            break
    return known_end or 0, list(found.values())


def _read_kept_tail(file: BinaryIO, start: int, step: int) -> tuple[list[Record], int, bool]:
    """Read from ``start`` to the first line that the resumed run will repeat.

    Returns:
        The records before that line, its offset, and whether it is an invalid line.
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
        # The first line may begin in the previous block, unless it is too long to be a record.
        rest = lines.pop(0) if position > 0 and len(lines[0]) <= _LINE_LIMIT else b""
        line_end = position + len(rest) + sum(map(len, lines))
        for content in reversed(lines):
            line_end -= len(content)
            yield _Line(line_end, content)


def _split(block: bytes) -> list[bytes]:
    """Split after line feeds only, unlike `bytes.splitlines`."""
    *lines, last = block.split(b"\n")
    return [line + b"\n" for line in lines] + ([last] if last else [])


def _kind(content: bytes) -> str:
    """Return the kind that a line says its record has, without decoding it."""
    match = _KIND.match(content)
    return match[1].decode() if match else ""


def _decoded(content: bytes) -> Record | None:
    try:
        return decode(content)
    except ValueError:
        return None
