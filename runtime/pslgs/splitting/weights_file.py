"""Files of weights: safetensors, and PyTorch's own, of which only tensors are read."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pslgs.damaged_files import DamagedFileError, read_by_library
from pslgs.json_text import parse_json
from pslgs.spec.errors import InputError

_NESTED: Final = ("state_dict", "model_state_dict", "model", "weights", "net", "network")
"""Entries of a training checkpoint in which the weights lie, in order of preference."""

_FILES_OF_A_FOLDER: Final = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
_INDEX_SUFFIX: Final = ".index.json"
_HEADER_SIZE_BYTES: Final = 8
_HEADER_BYTES: Final = _HEADER_SIZE_BYTES + 1
_FORBIDDEN: Final = re.compile(r"(?:GLOBAL|global) ([\w.]+)")


def save_weights(
    tensors: Mapping[str, Tensor], file: Path, metadata: Mapping[str, str] | None = None
) -> None:
    """Save tensors to a safetensors file; tensors that share memory are saved as separate ones.

    Args:
        tensors: Name -> tensor.
        file: File to write.
        metadata: Texts to write into the file's header, by name.

    Raises:
        OSError: the file cannot be written.
    """
    save_file(independent_tensors(tensors), file, metadata={"format": "pt", **(metadata or {})})
    _sort_metadata(file)


def _sort_metadata(file: Path) -> None:
    """Sort the texts in a header: safetensors writes them in an order that differs from file to file."""
    with file.open("r+b") as opened:
        size = int.from_bytes(opened.read(_HEADER_SIZE_BYTES), "little")
        header = json.loads(opened.read(size))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        encoded = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if len(encoded) <= size:  # as long as the same texts in another order
            opened.seek(_HEADER_SIZE_BYTES)
            opened.write(encoded.ljust(size))


def independent_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors in host memory, contiguous, and none sharing memory with another.

    Of several tensors that share memory, all but the first are copied.
    """
    written: set[int] = set()
    independent: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        values = tensor.detach().cpu().contiguous()
        memory = values.untyped_storage().data_ptr()
        independent[name] = values.clone() if memory in written else values
        written.add(memory)
    return independent


def load_weights(file: Path, path: str) -> dict[str, Tensor]:
    """Load the tensors of a file, or of a folder that holds one, such as a run or a saved model.

    The format is recognised by the content.  A PyTorch file is read with ``weights_only``, so that no code is
    run.

    Args:
        file: The file or folder.
        path: Path of the manifest field that names it, for error messages.

    Raises:
        InputError: the file cannot be read, or holds no named tensors.
    """
    file = _in_folder(file, path) if file.is_dir() else file
    try:
        with file.open("rb") as opened:
            start = opened.read(_HEADER_BYTES)
    except (OSError, ValueError) as failure:  # a name with a NUL, or that is no Unicode
        reason = (failure.strerror if isinstance(failure, OSError) else str(failure)) or "no such file"
        where = "" if file.is_absolute() else f"; relative paths start from {Path.cwd()}"
        raise InputError.at(path, f"'{file}' cannot be read ({reason}){where}.") from failure
    if file.name.endswith(_INDEX_SUFFIX):
        return _load_parts(file, path)
    if start[:2] == b"PK" or start[:1] == b"\x80":
        return _load_pytorch(file, path)
    return _load_safetensors(file, path)


def _in_folder(folder: Path, path: str) -> Path:
    found = next((folder / name for name in _FILES_OF_A_FOLDER if (folder / name).is_file()), None)
    if found is None:
        names = ", ".join(_FILES_OF_A_FOLDER)
        raise InputError.at(path, f"'{folder}' is a folder without any of {names}; name the file of weights.")
    return found


def _load_parts(index: Path, path: str) -> dict[str, Tensor]:
    """Load the safetensors files that an index names."""
    try:
        document: Any = parse_json(index.read_bytes())
        names = set(document["weight_map"].values())
    except (OSError, ValueError, LookupError, AttributeError, TypeError) as failure:
        raise InputError.at(path, f"'{index}' is not an index of safetensors files.") from failure
    loaded: dict[str, Tensor] = {}
    for name in sorted(map(str, names)):
        loaded |= _load_safetensors(index.parent / Path(name).name, path)
    return loaded


def _load_safetensors(file: Path, path: str) -> dict[str, Tensor]:
    try:
        with read_by_library():
            tensors: dict[str, Tensor] = load_file(file)
    except DamagedFileError as failure:
        if isinstance(failure.__cause__, OSError):
            reason = failure.__cause__.strerror or failure
            raise InputError.at(path, f"'{file}' cannot be read ({reason}).") from failure
        problem = (
            f"'{file}' is neither a safetensors nor a PyTorch file ({failure}); save the weights with "
            "safetensors.torch.save_file."
        )
        raise InputError.at(path, problem) from failure
    return tensors


def _load_pytorch(file: Path, path: str) -> dict[str, Tensor]:
    try:
        with read_by_library():
            content = torch.load(file, map_location="cpu", weights_only=True)
    except DamagedFileError as failure:
        raise InputError.at(path, f"'{file}' {_unreadable(str(failure.__cause__))}") from failure
    return _tensors_of(content, file, path)


def _unreadable(failure: str) -> str:
    remedy = "torch.save(model.state_dict(), FILE)"
    if named := _FORBIDDEN.search(failure):
        return (
            f"holds more than tensors ({named[1]}), which is not read, because it could run code; save the "
            f"weights alone, with {remedy}."
        )
    reason = failure.split("\n", maxsplit=1)[0]
    return f"is not a PyTorch file of weights ({reason}); save the weights with {remedy}."


def _tensors_of(content: object, file: Path, path: str) -> dict[str, Tensor]:
    """Return the named tensors of what a file holds: itself, or an entry of a training checkpoint."""
    if isinstance(content, Mapping):
        for candidate in (*(content.get(name) for name in _NESTED), content):
            tensors = _named_tensors(candidate)
            if tensors:
                return tensors
    entries = _listed(map(str, content)) if isinstance(content, Mapping) else type(content).__name__
    problem = (
        f"'{file}' has no named tensors, directly or under {', '.join(_NESTED[:3])}; it holds {entries}. "
        "Save the weights with torch.save(model.state_dict(), FILE)."
    )
    raise InputError.at(path, problem)


def _named_tensors(candidate: object) -> dict[str, Tensor]:
    if not isinstance(candidate, Mapping):
        return {}
    return {str(name): tensor for name, tensor in candidate.items() if isinstance(tensor, Tensor)}


def _listed(names: Iterable[str]) -> str:
    every = sorted(names)
    return ", ".join(every[:8]) + (" …" if len(every) > 8 else "") or "nothing"
