"""The finished model on the disk."""

from pathlib import Path

from pslgs.splitting.weights import save_weights
from pslgs.training.task import Task

MODEL_FILE = "model.safetensors"
_READABLE_BY_ALL = 0o644


def write_model(task: Task, run: Path) -> None:
    """Write the whole network into the folder ``run`` under its original parameter names; it appears whole.

    Raises:
        OSError: it cannot be written.
    """
    new = run / f"{MODEL_FILE}.new"
    save_weights(task.network.named_tensors(), new)
    # Who fetches it from a volume is seldom the user who trained it.
    new.chmod(_READABLE_BY_ALL)
    new.replace(run / MODEL_FILE)
