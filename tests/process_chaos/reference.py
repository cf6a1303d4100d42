"""The model that a job gives to which nothing happens."""

import subprocess
import sys
from pathlib import Path

REFERENCE = "reference"


def equals_simulation(folder: Path, model: Path) -> bool:
    """Simulate ``folder/job.yaml``, which equals an undisturbed run to the bit, and compare its model."""
    import torch  # noqa: PLC0415 - takes seconds, and only this needs it
    from safetensors.torch import load_file  # noqa: PLC0415

    command = [sys.executable, "-m", "pslgs.cli", "simulate", "job.yaml", "--output", REFERENCE]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    one, other = load_file(model), load_file(folder / REFERENCE / "model.safetensors")
    return one.keys() == other.keys() and all(
        torch.equal(tensor, other[name]) for name, tensor in one.items()
    )
