"""How stored values become the inputs of a model: layout, type, transforms and standardisation."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from pydantic import ConfigDict, Field

from pslgs.spec.base import SpecModel
from pslgs.spec.scalars import Identifier

MAX_TRANSFORMS: Final = 64


class Layout(StrEnum):
    """Order of the dimensions of a stored sample: channels, time, depth, height, width."""

    FLAT = "Flat"
    CHW = "CHW"
    HWC = "HWC"
    CT = "CT"
    TC = "TC"
    CDHW = "CDHW"
    DHWC = "DHWC"


class InputType(StrEnum):
    """Type of the model's inputs."""

    FLOAT = "Float"
    INTEGER = "Integer"


class Standardization(StrEnum):
    """Values that are standardised together."""

    NONE = "None"
    PER_FEATURE = "PerFeature"
    PER_CHANNEL = "PerChannel"


class Transform(SpecModel):
    """A torchvision transform of one sample; all fields but ``name`` are its keyword arguments."""

    model_config = ConfigDict(extra="allow")

    name: Identifier = Field(
        description="Name of a class of torchvision.transforms.v2.",
        examples=["RandomCrop", "RandomHorizontalFlip", "Normalize"],
    )

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The keyword arguments, as written in the manifest."""
        return MappingProxyType(self.model_extra or {})


LAYOUT_DESCRIPTION = (
    "Order of the dimensions of a stored sample, for arrays: NumPy, Custom, CSV, and lists of numbers in "
    "Parquet. The model gets the channels (C) first; a sample without a dimension of channels gets one. "
    "CHW and HWC: images. CT and TC: series over time. CDHW and DHWC: volumes. Flat: one dimension. "
    "Without it, uint8 and uint16 arrays of two dimensions are grey images, and those of three dimensions "
    "are images whose 1, 3 or 4 channels come first or last; other arrays stay as they are. Image files "
    "need no layout."
)
INPUT_TYPE_DESCRIPTION = (
    "Type of the model's inputs. Float: numbers, float32. Integer: numbers of tokens or categories, "
    "int64, as the layer Embedding takes them; they are neither scaled nor transformed."
)
LENGTH_DESCRIPTION = (
    "Length of a sample that is a list of numbers, for lists of different lengths: longer ones are cut, "
    "shorter ones are filled up with 0 at the end. Without it, all lists must be equally long."
)
STANDARDIZE_DESCRIPTION = (
    "Standardises the transformed inputs to mean 0 and standard deviation 1 over the training samples of "
    "all clients. Each client sends the number, mean and squared deviations of its own values when it "
    "connects; they are combined before the first step. None: inputs stay as they are. PerFeature: each "
    "value of a sample by itself, at most 2048. PerChannel: all values of a channel, the first dimension of "
    "a sample, together. A feature that never varies becomes 0."
)
RANGE_DESCRIPTION = (
    "Two values that become 0 and 1, for images and arrays of more than 8 bits, such as "
    "[0, 4095] for 12 bits; values outside them become 0 or 1. Without it, 16-bit images and uint16 "
    "arrays are divided by 65535, other arrays are not scaled, and 32-bit images (integers or floats) "
    "are refused, since their largest possible value is unknown."
)
WINDOW_DESCRIPTION = (
    "Center and width of the values that become 0 to 1, as radiologists give them, such as "
    "[40, 400] for soft tissue in Hounsfield units; for images of more than 8 bits, DICOM and NIfTI. "
    "Another way to set range."
)
