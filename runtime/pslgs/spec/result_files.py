"""Names of the files and folders that a run leaves in its folder."""

from typing import Final

MODEL_FILE: Final = "model.safetensors"
"""The trained model."""

BEST_FILE: Final = "best.safetensors"
"""The model of the best evaluation, beside that of the last step."""

CHECKPOINTS: Final = "checkpoints"
"""The folder of the checkpoints."""
