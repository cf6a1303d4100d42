"""The network and the layer at which it is cut."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field, model_validator

from pslgs.spec.base import SpecModel
from pslgs.spec.errors import Violation
from pslgs.spec.scalars import ENTRYPOINT, PATTERN_WORDS, Count, Flag, Text


class InitialWeights(SpecModel):
    """A file of weights, and which of its tensors are loaded."""

    path: Text = Field(
        description="Path, on the server, of a file with the weights of the whole network: safetensors, or a "
        "PyTorch file (.pth, .pt, .pth.tar, .bin), of which only tensors are read, never code. In a "
        "PyTorch file, they may lie under state_dict, model_state_dict or model. Half precision is "
        "converted. Or a folder with model.safetensors, such as that of a run.",
        examples=["/models/resnet18.safetensors"],
    )
    strip: Text | None = Field(
        default=None,
        description="Prefix that is removed from the names in the file, such as the one that DataParallel "
        "writes. Without it, names are taken as they are.",
        examples=["module."],
    )
    except_: tuple[Text, ...] = Field(
        default=(),
        alias="except",
        max_length=64,
        description="Dotted names of modules and tensors that are not loaded and keep their random initial "
        "weights, such as a classifier of other classes. By default everything is loaded.",
        examples=["fc"],
    )
    strict: Flag = Field(
        default=True,
        description="Whether the names in the file must be those of the network, apart from `except`. If "
        "false, tensors that the file lacks keep their random initial weights, and others in it are ignored. "
        "Shapes must be equal in either case.",
    )

    @model_validator(mode="before")
    @classmethod
    def _accept_path(cls, value: object) -> object:
        """Accept a plain path, as in manifests that were written before there were other fields."""
        return {"path": value} if isinstance(value, str) else value


class ModelSpec(SpecModel):
    """The network and its cut layer."""

    architecture: Text = Field(
        description="Network to build: a built-in one (mlp, cnn, resnet18-cifar, series-cnn, text-cnn), a "
        "torchvision classifier (resnet18), timm/NAME, hf/MODEL_TYPE (a classifier of Hugging Face, whose "
        "configuration has the options as fields), or a function of yours as package.module:function, which "
        "returns the whole network, or the client part and the server part. If it returns an object with "
        "logits, they are the output. timm and hf need an optional package, and weights are random.",
        examples=["mlp", "resnet18", "timm/convnext_tiny", "hospital.networks:encoder"],
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
    initial_weights: InitialWeights | None = Field(
        default=None,
        description="Weights with which training starts, as of a pretrained backbone. Without it, the "
        "weights are initialized at random from sampling.seed.",
    )
    freeze: tuple[Text, ...] = Field(
        default=(),
        max_length=256,
        description="Dotted names of modules, or of single parameters, that are not trained. Their batch "
        "normalisation uses its running statistics and does not update them. By default, the whole network "
        "is trained.",
        examples=["conv1", "layer1"],
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
