"""What the server part is computed on."""

import torch

from pslgs.training.torch_thread import choose_device


def device_for(name: str, gpus: int) -> tuple[torch.device, str | None]:
    """Choose the device called ``name``, and say what is missing if a job asks for GPUs and gets none.

    Raises:
        RuntimeError: torch knows no such device.
    """
    device = choose_device(name)
    if not gpus or device.type != "cpu":
        return device, None
    why = "--device is cpu"
    if name == "auto":
        why = "torch finds no CUDA device" if torch.version.cuda else "this build of torch is without CUDA"
    return device, f"spec.server.gpus is {gpus}, but {why}; training on the CPU"
