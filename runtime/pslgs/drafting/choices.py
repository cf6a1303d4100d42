"""What a draft decides beside what the data are: suggestions, and the checks of a user's answers."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pslgs.drafting.contents import Contents, SampleKind
from pslgs.drafting.places import Places
from pslgs.spec.errors import InputError
from pslgs.spec.inputs import Layout
from pslgs.spec.model import ModelSpec
from pslgs.splitting.architectures import build_model
from pslgs.splitting.data_options import outputs_option
from pslgs.splitting.network import build_network

SMALL_IMAGE: Final = 64
"""Height and width in pixels up to which the suggested network needs no resizing."""
_LARGE_SIZE: Final = (224, 224)
_CUTS: Final = {"mlp": "hidden1", "cnn": "conv1", "series-cnn": "conv1", "text-cnn": "conv"}
_LONGEST_NAME: Final = 40
_TELLS_NOTHING: Final = frozenset({"data", "dataset", "datasets", "train", "training"})
_CLIENTS: Final = 4


@dataclass(frozen=True, slots=True)
class Network:
    """A network that can be built.

    Attributes:
        architecture: Its name.
        options: Arguments with which it is built.
        layers: Names of the outermost layers; empty for a function that returns both parts.
    """

    architecture: str
    options: Mapping[str, object]
    layers: tuple[str, ...]

    @classmethod
    def of(cls, contents: Contents, architecture: str, number: int) -> "Network":
        """Build a network for samples, with ``number`` outputs.

        Raises:
            InputError: it cannot be built.
        """
        options = model_options(contents, architecture, number)
        built = build_model(architecture, options, seed=0)
        layers = () if isinstance(built, tuple) else tuple(name for name, _ in built.named_children())
        return cls(architecture, options, layers)

    @property
    def suggested_cut(self) -> str:
        """A layer near the inputs; empty if there are no layers."""
        if self.architecture in _CUTS:
            return _CUTS[self.architecture]
        if "features" in self.layers:
            return "features.3"
        return next((name for name in ("layer1", *self.layers) if name in self.layers), "")

    def checked_cut(self, layer: str) -> str:
        """Return ``layer`` if the network can be cut after it.

        Raises:
            InputError: it cannot.
        """
        fields = {"architecture": self.architecture, "options": dict(self.options), "cutLayer": layer}
        build_network(ModelSpec.model_validate(fields, by_alias=True, by_name=False), seed=0)
        return layer


@dataclass(frozen=True, slots=True)
class Answers:
    """What the user decides.

    Attributes:
        name: Name of the job.
        network: The network.
        cut_layer: Layer after which it is cut; None for a function that returns both parts.
        classes: Names of the classes; empty if the manifest shall not name them.
        partition: Number of clients among which one dataset is divided; 0 if it is not divided.
    """

    name: str
    network: Network
    cut_layer: str | None
    classes: tuple[str, ...] = ()
    partition: int = 0


def suggested_name(data: str) -> str:
    """Return a name for the job: that of the folder of its data, or of the one around it."""
    names = [part for part in Path(data).absolute().parts if not set(part) & set("{}*?[]")]
    for name in reversed(names):
        words = re.sub(r"[^a-z0-9]+", "-", re.sub(r"\.\w+$", "", name).lower())
        found = re.sub(r"^[^a-z]+", "", words)[:_LONGEST_NAME].rstrip("-")
        if found and found not in _TELLS_NOTHING:
            return found
    return "job"


def suggested_architecture(contents: Contents) -> str:
    """Return the network that is suggested for samples of this kind."""
    match contents.kind:
        case SampleKind.IMAGE:
            return "cnn" if is_small(contents) else "resnet18"
        case SampleKind.SERIES:
            return "series-cnn"
        case SampleKind.TOKENS:
            return "text-cnn"
        case SampleKind.FEATURES:
            return "mlp"


def is_small(contents: Contents) -> bool:
    """Return whether images are of one size, and small."""
    return contents.shapes == 1 and max(_image_size(contents)) <= SMALL_IMAGE


def resized_to(contents: Contents) -> tuple[int, int] | None:
    """Return the height and width to which images have to be resized; None if they stay as they are."""
    if contents.kind is not SampleKind.IMAGE or is_small(contents):
        return None
    return _LARGE_SIZE


def outputs(contents: Contents, classes: Sequence[str]) -> int:
    """Return the number of the model's outputs."""
    return len(classes or contents.classes) or contents.targets


def model_options(contents: Contents, architecture: str, number: int) -> dict[str, object]:
    """Return the options of a network with ``number`` outputs; empty for a function of the user's own."""
    option = outputs_option(architecture)
    if option is None:
        return {}
    channels = contents.shape[-1] if contents.layout in {Layout.HWC, Layout.TC} else contents.shape[0]
    of_samples: Mapping[str, dict[str, object]] = {
        "mlp": {"inputs": math.prod(contents.shape), "hidden": [64, 32]},
        "cnn": {"channels": channels},
        "series-cnn": {"channels": channels},
        "text-cnn": {"tokens": contents.tokens or 1},
    }
    return {**of_samples.get(architecture, {}), option: number}


def checked_classes(contents: Contents, classes: tuple[str, ...]) -> tuple[str, ...]:
    """Return names of classes if they fit the data.

    Raises:
        InputError: a name is empty or given twice, or names are missing.
    """
    if len(set(classes)) < len(classes) or not all(classes):
        raise InputError.at("--classes", "has a name twice, or an empty one")
    if classes and not contents.classes:
        raise InputError.at("--classes", "is given, but the labels are no classes")
    if contents.has_names:
        missing = [name for name in contents.classes if name not in classes]
        if missing:
            raise InputError.at("--classes", f"lacks '{missing[0]}', of which the data have samples")
    elif classes and len(classes) < len(contents.classes):
        raise InputError.at(
            "--classes", f"has {len(classes)} names, but the labels go up to {len(contents.classes) - 1}"
        )
    return classes


def default_classes(contents: Contents) -> tuple[str, ...]:
    """Return the names of the classes that the data have; empty if they have none."""
    return contents.classes if contents.has_names else ()


def default_partition(places: Places) -> int:
    """Return the number of clients among which a common dataset is divided; 0 if each client has its own."""
    return 0 if places.clients else _CLIENTS


def batch_size(contents: Contents) -> int:
    """Return the size of the global batch: at most 128, and at least ten steps for each epoch if possible."""
    return next(
        (size for size in (128, 64, 32, 16, 8) if contents.samples >= 10 * size), min(4, contents.samples)
    )


def _image_size(contents: Contents) -> tuple[int, ...]:
    return contents.shape[:-1] if contents.layout is Layout.HWC else contents.shape[1:]
