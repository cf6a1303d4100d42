"""The network and the layer at which it is cut."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from pslgs.spec.base import SpecModel
from pslgs.spec.errors import Violation
from pslgs.spec.scalars import ENTRYPOINT, PATTERN_WORDS, Count, Text


class ModelSpec(SpecModel):
    """The network and its cut layer."""

    architecture: Text = Field(
        description="Network to build: a built-in one (mlp, cnn, resnet18-cifar), a torchvision classifier "
        "(resnet18), or a function of yours as package.module:function, which returns the whole network, or "
        "the client part and the server part.",
        examples=["mlp", "resnet18", "hospital.networks:encoder"],
    )
    options: Mapping[str, Any] = Field(
        default={}, description="Keyword arguments for the network's constructor."
    )
    cut_layer: Text | None = Field(
        default=None,
        description="Dotted name of the last module of the client part; the network is cut after it. "
        "Required unless the architecture is a function that returns the two parts.",
        examples=["layer1"],
    )
    initial_weights: Text | None = Field(
        default=None,
        description="Path, on the server, of a safetensors file with the weights of the whole network under "
        "their original names. Without it, the weights are initialized at random from sampling.seed.",
    )
    input_shape: tuple[Count, ...] | None = Field(
        default=None,
        min_length=1,
        description="Shape of one input of the network, without the batch dimension, e.g. [3, 32, 32]. "
        "Without it, the shape is taken from the data.",
    )

    @property
    def is_entrypoint(self) -> bool:
        """Whether the architecture is a user's function, ``package.module:function``."""
        return ":" in self.architecture

    def rules(self) -> Iterator[Violation]:
        """Require a cut layer, unless a user's function may return the two parts."""
        if self.is_entrypoint and not re.fullmatch(ENTRYPOINT, self.architecture):
            yield Violation("architecture", f"is '{self.architecture}', {PATTERN_WORDS[ENTRYPOINT]}")
        if self.cut_layer is None and not self.is_entrypoint:
            yield Violation("cutLayer", "is missing; name the module after which the network is cut")
