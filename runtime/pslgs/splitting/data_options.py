"""The options of architectures that depend on the data: the size of a sample, and the number of outputs."""

import math
from collections.abc import Sequence
from typing import Final

from pslgs.spec.errors import InputError
from pslgs.spec.model import ModelSpec
from pslgs.splitting.architectures import OPTIONS

_OUTPUTS: Final = {"mlp": "outputs", "cnn": "classes", "series-cnn": "outputs", "text-cnn": "outputs"}
_CHANNELS: Final = {"cnn": 3, "series-cnn": 2}
"""Architecture with the option ``channels`` -> dimensions of a sample."""


def outputs_option(architecture: str) -> str | None:
    """Return the name of the option that gives the number of outputs; None for a function of the user's."""
    if ":" in architecture:
        return None
    return _OUTPUTS.get(architecture, "num_labels" if architecture.startswith("hf/") else "num_classes")


def outputs_field(architecture: str) -> str:
    """Return the path of that option in the manifest, or of all options of a function of the user's."""
    option = outputs_option(architecture)
    return OPTIONS if option is None else f"{OPTIONS}.{option}"


def check_sample_size(model: ModelSpec, shape: Sequence[int]) -> None:
    """Check that samples have the size that an option of a built-in architecture gives.

    Raises:
        InputError: they have another one.
    """
    architecture, options, values = model.architecture, model.options, math.prod(shape)
    if architecture == "mlp" and options["inputs"] != values:
        raise _other(model, "inputs", values, f"{values:,} values")
    image = options.get("image")
    if architecture == "cnn" and image is not None:
        if math.prod(image) != values:
            problem = f"is {list(image)}, which are {math.prod(image):,} values, but samples have {values:,}"
            raise InputError.at(f"{OPTIONS}.image", f"{problem}; correct it")
    elif len(shape) == _CHANNELS.get(architecture) and options.get("channels", 3) != shape[0]:
        raise _other(model, "channels", shape[0], f"{shape[0]:,} channels")


def _other(model: ModelSpec, option: str, number: int, found: str) -> InputError:
    return InputError.at(
        f"{OPTIONS}.{option}",
        f"is {model.options.get(option, 3)}, but samples have {found}; set {option}: {number}",
    )
