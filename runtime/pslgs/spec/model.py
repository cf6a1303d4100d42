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
        description="Name of the network's builder: one of ours (mlp, cnn, resnet18-cifar), a torchvision "
        "classifier (resnet18), or package.module:function. Such a function returns the whole network, "
        "or the client part and the server part.",
        examples=["mlp", "resnet18", "hospital.networks:encoder"],
    )
    options: Mapping[str, Any] = Field(default={}, description="Keyword arguments of the builder.")
    cut_layer: Text | None = Field(
        default=None,
        description="Dotted name of the module after which the network is cut; the client part ends with it. "
        "Needed unless a package.module:function returns the two parts.",
        examples=["layer1"],
    )
    initial_weights: Text | None = Field(
        default=None,
        description="Path of a safetensors file, at the server, with the weights of the whole network under "
        "their original names. Without it, they are drawn from sampling.seed.",
    )
    input_shape: tuple[Count, ...] | None = Field(
        default=None,
        min_length=1,
        description="Shape of one sample as the network sees it, without the batch dimension, e.g. [3, 32, "
        "32]. Without it, it is taken from the data.",
    )

    @property
    def is_entrypoint(self) -> bool:
        """Whether the architecture is a user's function, ``package.module:function``."""
        return ":" in self.architecture

    def rules(self) -> Iterator[Violation]:
        """Only a user's function can return two parts, so that nothing is left to be cut."""
        if self.is_entrypoint and not re.fullmatch(ENTRYPOINT, self.architecture):
            yield Violation("architecture", f"is '{self.architecture}', {PATTERN_WORDS[ENTRYPOINT]}")
        if self.cut_layer is None and not self.is_entrypoint:
            yield Violation("cutLayer", "is missing; name the module after which the network is cut")
