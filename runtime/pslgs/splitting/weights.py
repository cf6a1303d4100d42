"""Whole models as safetensors files, under the original names of their tensors."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from pslgs.spec.errors import InputError


def save_weights(tensors: Mapping[str, Tensor], file: Path) -> None:
    """Write ``tensors`` to ``file``; tensors that share memory are written one by one.

    Raises:
        OSError: the file cannot be written.
    """
    written: set[int] = set()
    independent: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        values = tensor.detach().cpu().contiguous()
        memory = values.untyped_storage().data_ptr()
        independent[name] = values.clone() if memory in written else values
        written.add(memory)
    save_file(independent, file, metadata={"format": "pt"})


def load_weights(file: Path, path: str) -> dict[str, Tensor]:
    """Read ``file``; ``path`` is the manifest's field that names it.

    Raises:
        InputError: there is no such file, or it is not in the safetensors format.
    """
    try:
        tensors: dict[str, torch.Tensor] = load_file(file)
    except OSError as failure:
        reason = failure.strerror or "no such file"
        raise InputError.at(path, f"'{file}' cannot be read ({reason}).") from failure
    except SafetensorError as failure:
        problem = f"'{file}' is not a safetensors file ({failure}); save the weights with safetensors.torch."
        raise InputError.at(path, problem) from failure
    return tensors
