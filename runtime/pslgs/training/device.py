"""The device on which a process computes the network."""

import os

import torch

from pslgs.spec.errors import InputError

OPTION = "--device"


def choose_device(name: str) -> torch.device:
    """Return the device of a name: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    ``auto`` is the first GPU if there is one, otherwise the CPU.

    Raises:
        InputError: there is no such device on this machine.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in {"cpu", "cuda"}:
        raise InputError.at(OPTION, f"is '{name}', must be auto, cpu, cuda or cuda:N")
    if device.type == "cuda":
        _check_cuda(name, device.index or 0)
        # Read when cuBLAS starts; without it, its results differ from run to run.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return device


def missing_gpu(device: torch.device, name: str, gpus: int) -> str | None:
    """Say why a job that asks for GPUs trains on the CPU; None if it does not, or asks for none.

    Args:
        device: What `choose_device` returned.
        name: The name that it was given.
        gpus: ``spec.server.gpus``.
    """
    if not gpus or device.type != "cpu":
        return None
    why = f"{OPTION} is {name}" if name != "auto" else _why_no_cuda()
    return f"spec.server.gpus is {gpus}, but {why}; training on the CPU"


def _check_cuda(name: str, index: int) -> None:
    if not torch.cuda.is_available():
        raise InputError.at(OPTION, f"is '{name}', but {_why_no_cuda()}; use auto or cpu")
    devices = torch.cuda.device_count()
    if index >= devices:
        raise InputError.at(OPTION, f"is '{name}', but the last GPU of this machine is cuda:{devices - 1}")


def _why_no_cuda() -> str:
    return "torch finds no CUDA device" if torch.version.cuda else "this build of torch is without CUDA"
