"""Checkpoints: written atomically, checksummed, and verified when read."""

import hashlib
import json
import logging
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from pslgs.atomic_file import sync
from pslgs.json_text import parse_json
from pslgs.splitting.weights_file import independent_tensors

STATE = "state.json"
CHECKSUMS = "checksums.json"
SUFFIX = ".safetensors"


def write_files(folder: Path, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]) -> None:
    """Write a checkpoint's files into an empty folder, and all of it through to the disk.

    Raises:
        OSError, SafetensorError: the disk is full or fails.
    """
    for group, members in tensors.items():
        save_file(independent_tensors(members), folder / (group + SUFFIX))
    _write_json(folder / STATE, state)
    _write_json(folder / CHECKSUMS, {path.name: _checksum(path) for path in sorted(folder.iterdir())})
    mode = (folder / STATE).stat().st_mode
    for path in folder.iterdir():
        path.chmod(mode)  # safetensors lets nobody but the owner read its files, whatever the umask says
        sync(path)
    sync(folder)


def read_files(folder: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """Check and read what `write_files` wrote.

    Raises:
        OSError, ValueError, SafetensorError: a file is missing, damaged or unreadable.
    """
    checksums = _read_checksums(folder)
    for name in checksums:
        _check(folder, name, checksums)
    groups = [name.removesuffix(SUFFIX) for name in checksums if name.endswith(SUFFIX)]
    return {group: _read_tensors(folder / (group + SUFFIX)) for group in groups}, _read_json(folder / STATE)


def read_state(folder: Path) -> dict[str, Any]:
    """Check and read the state of a checkpoint alone.

    Raises:
        OSError, ValueError: a file is missing, damaged or unreadable.
    """
    _check(folder, STATE, _read_checksums(folder))
    return _read_json(folder / STATE)


def _read_checksums(folder: Path) -> dict[str, Any]:
    checksums = _read_json(folder / CHECKSUMS)
    if STATE not in checksums:
        raise ValueError(f"{CHECKSUMS} does not name {STATE}")
    return checksums


def _check(folder: Path, name: str, checksums: Mapping[str, Any]) -> None:
    if _checksum(folder / name) != checksums[name]:
        raise ValueError(f"{name} does not have the checksum it was written with")


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """Read tensors into memory of their own: the library maps the file, which may be removed before them."""
    return {name: tensor.clone() for name, tensor in load_file(path).items()}


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1, sort_keys=True))


def _read_json(path: Path) -> dict[str, Any]:
    document = parse_json(path.read_bytes())
    if not isinstance(document, dict):
        raise ValueError(f"{path.name} is not a JSON object")  # noqa: TRY004 - the content is wrong, not a type
    return document


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


UNFINISHED = "unfinished-"
_NAME = re.compile(r"step-(\d+)(?:\.(\d+))?")
_logger = logging.getLogger(__name__)


class CheckpointError(RuntimeError):
    """A checkpoint could not be written or used, or none of those there can be read."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A checkpoint that was passed over, and why."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """What `CheckpointStore.save` was given.

    Attributes:
        path: Its folder.
        step: Steps committed when it was written.
        tensors: Group (model, optimizer) -> name -> tensor, in memory of its own, on the CPU.
        state: All that is no tensor.
        damaged: Newer checkpoints that were passed over.
    """

    path: Path
    step: int
    tensors: Mapping[str, Mapping[str, Tensor]]
    state: Mapping[str, Any]
    damaged: tuple[Damage, ...] = ()


class _Stored(NamedTuple):
    """A checkpoint's place; the order is the order of age.  A second one of the same step is a revision."""

    step: int
    revision: int
    path: Path


class CheckpointStore:
    """The checkpoints of one run in a folder of their own, ``step-00000500`` and so on."""

    def __init__(self, folder: Path, keep: int) -> None:
        """Take the folder, which need not exist, and how many steps' checkpoints to keep in it.

        Raises:
            ValueError: not even one is to be kept.
        """
        if keep < 1:
            raise ValueError("at least one checkpoint must be kept")
        self._folder = folder
        self._keep = keep

    def save(self, step: int, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]) -> None:
        """Write a checkpoint, then remove those it makes superfluous.

        When this returns, the checkpoint survives a power cut.  When it fails, the older ones are untouched.
        What cannot be removed is removed by a later call.

        Raises:
            CheckpointError: it could not be written, for example because the disk is full.
        """
        try:
            self._make_folder()
            self._remove_unfinished()
            saved = self._write(step, tensors, state)
        except (OSError, SafetensorError) as error:
            with suppress(OSError):
                self._remove_unfinished()
            raise CheckpointError(
                f"cannot write the checkpoint of step {step} in {self._folder}: {error}"
            ) from error
        try:
            self._remove_superfluous(saved)
        except OSError as error:
            _logger.warning("the old checkpoints in %s stay: %s", self._folder, error)

    def load_latest(self, unusable: Iterable[Damage] = ()) -> Checkpoint | None:
        """Read the newest checkpoint that is intact; None where there are none at all.

        Args:
            unusable: Checkpoints that were read before and turned out not to fit; they are passed over.

        Raises:
            CheckpointError: the folder cannot be read, or there are checkpoints and none of them can be used.
        """
        damaged = list(unusable)
        refused = {damage.path for damage in damaged}
        for stored in self._newest_first():
            if stored.path in refused:
                continue
            try:
                tensors, state = read_files(stored.path)
            except (OSError, ValueError, SafetensorError) as error:
                damaged.append(Damage(stored.path, str(error)))
            else:
                return Checkpoint(stored.path, stored.step, tensors, state, tuple(damaged))
        if damaged:
            raise CheckpointError(
                f"none of the checkpoints in {self._folder} can be used; remove the folder to train from the "
                f"first step on, or put an intact copy in its place: {'; '.join(map(str, damaged))}"
            )
        return None

    def latest_state(self) -> tuple[int, Mapping[str, Any]] | None:
        """Read step and state of the newest checkpoint whose state is intact, without its tensors.

        Returns:
            None where there is no such checkpoint.

        Raises:
            CheckpointError: the folder cannot be read.
        """
        for stored in self._newest_first():
            try:
                return stored.step, read_state(stored.path)
            except (OSError, ValueError) as error:
                _logger.debug("the state of %s cannot be read: %s", stored.path, error)
        return None

    def _newest_first(self) -> list[_Stored]:
        """List the checkpoints.

        Raises:
            CheckpointError: the folder cannot be read.
        """
        try:
            return sorted(self._stored(), reverse=True)
        except OSError as error:
            raise CheckpointError(
                f"the checkpoint folder {self._folder} cannot be read ({error.strerror}); give this user "
                "access to it, or move it away to train from the first step on"
            ) from error

    def _stored(self) -> Iterator[_Stored]:
        try:
            paths = list(self._folder.iterdir())
        except FileNotFoundError:
            return
        for path in paths:
            if match := _NAME.fullmatch(path.name):
                yield _Stored(int(match[1]), int(match[2] or 0), path)

    def _make_folder(self) -> None:
        if not self._folder.is_dir():
            self._folder.mkdir(parents=True)
            sync(self._folder.parent)

    def _write(
        self, step: int, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]
    ) -> _Stored:
        """Write under a name of its own: a folder cannot replace an older one of the step in one move."""
        revisions = [stored.revision for stored in self._stored() if stored.step == step]
        revision = max(revisions) + 1 if revisions else 0
        name = f"step-{step:08}" + (f".{revision}" if revision else "")
        unfinished = self._folder / (UNFINISHED + name)
        unfinished.mkdir()
        write_files(unfinished, tensors, state)
        path = unfinished.rename(self._folder / name)
        sync(self._folder)
        return _Stored(step, revision, path)

    def _remove_superfluous(self, saved: _Stored) -> None:
        """Remove older revisions, surplus steps, and newer steps, which the run went back behind."""
        newest: dict[int, _Stored] = {}
        for stored in sorted(self._stored()):
            if stored <= saved:
                newest[stored.step] = stored
        kept = sorted(newest.values())[-self._keep :]
        for stored in set(self._stored()) - set(kept):
            self._remove(stored.path)

    def _remove(self, path: Path) -> None:
        """Rename first, so that half a checkpoint never passes for one."""
        try:
            unfinished = path.rename(path.with_name(UNFINISHED + path.name))
        except OSError as error:
            _logger.warning("the old checkpoint %s stays: %s", path, error)
        else:
            shutil.rmtree(unfinished, ignore_errors=True)

    def _remove_unfinished(self) -> None:
        for path in self._folder.glob(UNFINISHED + "*"):
            shutil.rmtree(path, ignore_errors=True)
