"""The model that a job gives to which nothing happens."""

import os
import subprocess
import sys
from pathlib import Path

REFERENCE = "reference"


def equals_simulation(folder: Path, model: Path, cores: int | None = None) -> bool:
    """Simulate ``folder/job.yaml``, which equals an undisturbed run to the bit, and compare its model.

    Args:
        folder: The folder.
        model: File of the model of the run.
        cores: Number of cores with which server and clients computed, on which the last bits depend; None for
            all of this machine.
    """
    import torch  # noqa: PLC0415 - takes seconds, and only this needs it
    from safetensors.torch import load_file  # noqa: PLC0415

    command = [sys.executable, "-m", "pslgs.cli", "simulate", "job.yaml", "--output", REFERENCE]

    def share() -> None:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])

    subprocess.run(command, cwd=folder, check=True, capture_output=True, preexec_fn=share)
    one, other = load_file(model), load_file(folder / REFERENCE / "model.safetensors")
    return one.keys() == other.keys() and all(
        torch.equal(tensor, other[name]) for name, tensor in one.items()
    )
