"""The devices on which the network is computed."""

import os
from collections.abc import Sequence

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


def server_devices(name: str, gpus: int) -> tuple[torch.device, ...]:
    """Return the devices of a server, at least one: the first GPUs, as many as a job asks for and there are.

    A single device is chosen as by `choose_device`, and so is one that is named by its number.

    Args:
        name: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        gpus: ``spec.server.gpus``.

    Raises:
        InputError: there is no such device on this machine.
    """
    device = choose_device(name)
    if device.type == "cpu" or ":" in name or gpus <= 1:
        return (device,)
    found = min(gpus, torch.cuda.device_count())
    return tuple(torch.device("cuda", index) for index in range(found))


def missing_gpus(devices: Sequence[torch.device], name: str, gpus: int) -> str | None:
    """Say why a job trains on fewer GPUs than it asks for; None if it does not.

    Args:
        devices: What `server_devices` returned.
        name: The name that it was given.
        gpus: ``spec.server.gpus``.
    """
    on_cpu = devices[0].type == "cpu"
    if gpus <= (0 if on_cpu else len(devices)):
        return None
    if name not in {"auto", "cuda"}:
        why = f"{OPTION} is {name}"
    else:
        why = _why_no_cuda() if on_cpu else f"torch finds {torch.cuda.device_count()}"
    return f"spec.server.gpus is {gpus}, but {why}; training on {'the CPU' if on_cpu else len(devices)}"


def _check_cuda(name: str, index: int) -> None:
    if not torch.cuda.is_available():
        raise InputError.at(OPTION, f"is '{name}', but {_why_no_cuda()}; use auto or cpu")
    devices = torch.cuda.device_count()
    if index >= devices:
        raise InputError.at(OPTION, f"is '{name}', but the last GPU of this machine is cuda:{devices - 1}")


def _why_no_cuda() -> str:
    return "torch finds no CUDA device" if torch.version.cuda else "this build of torch is without CUDA"
