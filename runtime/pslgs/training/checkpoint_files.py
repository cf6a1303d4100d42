"""The files of one checkpoint: a safetensors file a group, ``state.json``, and checksums of them all."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

STATE = "state.json"
CHECKSUMS = "checksums.json"
SUFFIX = ".safetensors"


def write_files(folder: Path, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]) -> None:
    """Write a checkpoint's files into an empty folder, and all of it through to the disk.

    Raises:
        OSError, SafetensorError: the disk is full or fails.
    """
    for group, members in tensors.items():
        save_file(_storable(members), folder / (group + SUFFIX))
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


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _storable(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Put tensors into the CPU's memory, densely; of those that share memory all but the first are copied."""
    storable: dict[str, Tensor] = {}
    storages: set[int] = set()
    for name, tensor in tensors.items():
        dense = tensor.detach().cpu().contiguous()
        storage = dense.untyped_storage().data_ptr()
        storable[name] = dense.clone() if storage in storages else dense
        storages.add(storage)
    return storable


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """Read tensors into memory of their own: the library maps the file, which may be removed before them."""
    return {name: tensor.clone() for name, tensor in load_file(path).items()}


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1, sort_keys=True))


def _read_json(path: Path) -> dict[str, Any]:
    document = json.loads(path.read_text())
    if not isinstance(document, dict):
        raise ValueError(f"{path.name} is not a JSON object")  # noqa: TRY004 - the content is wrong, not a type
    return document


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
