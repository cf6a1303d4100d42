"""Saving and loading of whole models as safetensors files."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from pslgs.spec.errors import InputError


def save_weights(tensors: Mapping[str, Tensor], file: Path) -> None:
    """Save tensors to a safetensors file; tensors that share memory are saved as separate ones.

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
    """Load the tensors of a safetensors file.

    Args:
        file: The file.
        path: Path of the manifest field that names the file, for error messages.

    Raises:
        InputError: the file cannot be read, or is not in the safetensors format.
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
