"""One of several inputs of a model, such as the image and the age in ``forward(image, age)``."""

from collections.abc import Iterator
from typing import Final

from pydantic import Field

from pslgs.spec.base import SpecModel
from pslgs.spec.errors import Violation
from pslgs.spec.inputs import MAX_TRANSFORMS, InputType, Layout, Standardization, Transform
from pslgs.spec.scalars import Count, Flag, Identifier, Text

INPUTS: Final = "spec.data.inputs"
"""Path of the inputs in the manifest."""

MAX_INPUTS: Final = 16
MAX_COLUMNS: Final = 4096
MAX_DIMENSIONS: Final = 8
INTEGER_INPUTS: Final = "does not apply to inputs of the type Integer; remove it"
SHAPE_OF_EACH_INPUT: Final = (
    "does not apply to a model with several inputs; set shape for each of data.inputs"
)
COLUMNS_OF_CSV: Final = "is missing; the format CSV needs it"
COLUMNS_OF_EACH_INPUT: Final = (
    "does not apply to a model with several inputs; set columns of each of data.inputs"
)
COLUMNS_WITHOUT_TABLE: Final = "give columns, which only CSV and Parquet data have; remove columns"
EACH_INPUT: Final = "does not apply to a model with several inputs; set it for each of data.inputs"
INPUTS_TWICE: Final = "names an input twice"
FIELDS_OF_ONE_INPUT: Final = (
    "transforms",
    "range",
    "window",
    "layout",
    "input_type",
    "length",
    "standardize",
)
"""Fields of the data that say what one input is, and that each of several has itself."""
RANGE_ORDER: Final = "must be two numbers, the lower one first, such as [0, 4095]"
FIELDS_OF_FLOAT_INPUTS: Final = ("transforms", "range", "standardize")
"""Fields of an input that do not apply to integers."""

INPUTS_DESCRIPTION: Final = (
    "The inputs of a model that takes several, such as forward(image, age), which is called "
    "with them by name. An entry of Custom data is then a pair of a mapping, from these names to values, "
    "and a label. CSV and Parquet data have columns for each input, NumPy data an array of its name. What "
    "is said of inputs elsewhere (layout, inputType, length, range, transforms, standardize, "
    "model.inputShape) is said for each of them here. By default, the model takes one input, which needs "
    "no name."
)


class NamedInput(SpecModel):
    """An input of a model that takes several."""

    name: Identifier = Field(
        description="Name of the input: an argument of the model's forward.", examples=["age"]
    )
    columns: tuple[Text, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_COLUMNS,
        description="Names of the columns that make up the input (CSV, Parquet): one of images or lists, or "
        "several of numbers or of lists of one length. Without it, it is the column of the input's name. "
        "NumPy data have an array of that name.",
        examples=["[age, sex]"],
    )
    type: InputType = Field(
        default=InputType.FLOAT,
        description="Type of the input. Float: numbers, float32. Integer: numbers of tokens or categories, "
        "or a mask, int64; they are neither scaled nor transformed.",
    )
    shape: tuple[Count, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_DIMENSIONS,
        description="Shape of the input, without the batch dimension, e.g. [1, 64, 64]. Without it, the "
        "shape is taken from the data.",
    )
    layout: Layout | None = Field(
        default=None, description="Order of the dimensions of a stored value; see data.layout."
    )
    length: Count | None = Field(
        default=None,
        description="Length to which a list of numbers is cut, or filled up with 0. Without it, all lists "
        "must be equally long.",
    )
    range: tuple[float, ...] | None = Field(
        default=None,
        min_length=2,
        max_length=2,
        description="Two values that become 0 and 1; see data.range. Without it, uint16 values are divided "
        "by 65535 and other numbers are not scaled.",
    )
    transforms: tuple[Transform, ...] = Field(
        default=(),
        max_length=MAX_TRANSFORMS,
        description="Transforms of the input, applied in this order; in an evaluation, random ones are left "
        "out. By default, it is not transformed.",
    )
    standardize: Standardization = Field(
        default=Standardization.NONE,
        description="Standardises the transformed input to mean 0 and standard deviation 1 over the training "
        "samples of all clients; see data.standardize. All inputs together may have 2048 features.",
    )
    may_leave_site: Flag = Field(
        default=False,
        description="Whether the values of the input may be sent to the server. They are if the model uses "
        "them behind the cut layer, or passes them on to it without a layer with parameters. If false, a "
        "model that does so is refused.",
    )

    @property
    def value_range(self) -> tuple[float, float] | None:
        """``range`` as a pair."""
        return None if self.range is None else (self.range[0], self.range[1])

    @property
    def chosen_columns(self) -> tuple[str, ...]:
        """The columns that make up the input: as given, or that of its name."""
        return self.columns or (self.name,)

    def rules(self) -> Iterator[Violation]:
        """Refuse settings of floats for integers, and a range that is upside down."""
        if self.range is not None and self.range[0] >= self.range[1]:
            yield Violation("range", RANGE_ORDER)
        for name in FIELDS_OF_FLOAT_INPUTS if self.type is InputType.INTEGER else ():
            if getattr(self, name) != NamedInput.model_fields[name].default:
                yield Violation(name, INTEGER_INPUTS)
