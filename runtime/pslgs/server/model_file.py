"""The finished model on the disk."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from pslgs.splitting.weights import save_weights

MODEL_FILE = "model.safetensors"
_READABLE_BY_ALL = 0o644


def write_model(tensors: Mapping[str, Tensor], run: Path) -> None:
    """Write the whole network's tensors by name into the folder ``run``; the file appears complete.

    Raises:
        OSError: it cannot be written.
    """
    new = run / f"{MODEL_FILE}.new"
    save_weights(tensors, new)
    # Who fetches it from a volume is seldom the user who trained it.
    new.chmod(_READABLE_BY_ALL)
    new.replace(run / MODEL_FILE)
