"""Where samples are read from, and which fields each format needs."""

from collections.abc import Iterator, Mapping, Set
from enum import StrEnum
from types import MappingProxyType
from typing import Any, ClassVar, Final, NamedTuple

from pydantic import Field

from pslgs.spec.base import SpecModel
from pslgs.spec.errors import Violation
from pslgs.spec.scalars import Entrypoint, Text

CLIENT_PLACEHOLDER: Final = "{client}"
"""Stands in a path for the client's id."""


MAX_CLASSES: Final = 2**15


class DataFormat(StrEnum):
    """How samples are stored."""

    PARQUET = "Parquet"
    IMAGE_FOLDER = "ImageFolder"
    NUMPY = "NumPy"
    TORCHVISION = "Torchvision"
    SCIKIT_LEARN = "ScikitLearn"
    CUSTOM = "Custom"


class Split(StrEnum):
    """A part of a dataset that comes whole."""

    TRAIN = "Train"
    TEST = "Test"
    ALL = "All"


class FormatFields(NamedTuple):
    """Fields of a format: those that it needs, and those that it may have besides."""

    required: Set[str]
    allowed: Set[str]


FORMAT_FIELDS: Final[Mapping[DataFormat, FormatFields]] = MappingProxyType(
    {
        DataFormat.PARQUET: FormatFields({"path"}, {"input_column", "label_column"}),
        DataFormat.IMAGE_FOLDER: FormatFields({"path"}, set()),
        DataFormat.NUMPY: FormatFields({"path"}, set()),
        DataFormat.TORCHVISION: FormatFields({"name", "path"}, {"split"}),
        DataFormat.SCIKIT_LEARN: FormatFields({"name"}, {"split"}),
        DataFormat.CUSTOM: FormatFields({"entrypoint"}, {"options"}),
    }
)
"""What each format has besides ``classes``."""

FIELDS_OF_SOME_FORMATS: Final = sorted(
    {name for fields in FORMAT_FIELDS.values() for name in fields.required | fields.allowed}
)


class DataSource(SpecModel):
    """A dataset of samples with labels."""

    format: DataFormat = Field(
        description="How the samples are stored. Parquet, ImageFolder and NumPy need path, Torchvision name "
        "and path, ScikitLearn name, Custom entrypoint."
    )
    path: Text | None = Field(
        default=None,
        description="File, folder or glob pattern on the machine that reads it, relative to the working "
        "folder. {client} in it is replaced by the client's id.",
        examples=["/data/train-*.parquet"],
    )
    name: Text | None = Field(
        default=None, description="Name of the dataset.", examples=["CIFAR10", "digits"]
    )
    entrypoint: Entrypoint | None = Field(
        default=None,
        description="Function that returns the dataset, an object with a length whose items are (input, "
        "label).",
        examples=["hospital.scans:dataset"],
    )
    options: Mapping[str, Any] = Field(
        default={}, description="Keyword arguments of the entrypoint (Custom)."
    )
    input_column: Text = Field(default="img", description="Column of the inputs (Parquet).")
    label_column: Text = Field(default="label", description="Column of the labels (Parquet).")
    classes: tuple[Text, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_CLASSES,
        json_schema_extra={"x-kubernetes-list-type": "set"},
        description="Names of the classes in the order of their numbers. ImageFolder needs them where "
        "clients hold different classes; without them, its folders are numbered in the order of their names.",
    )
    split: Split | None = Field(
        default=None,
        description="Part of a Torchvision or ScikitLearn dataset; every 5th sample of the latter is Test. "
        "Without it, training reads Train of Torchvision and All of ScikitLearn, and the evaluation reads "
        "Test.",
    )

    default_splits: ClassVar[Mapping[DataFormat, Split]] = MappingProxyType(
        {DataFormat.TORCHVISION: Split.TRAIN, DataFormat.SCIKIT_LEARN: Split.ALL}
    )

    @property
    def chosen_split(self) -> Split | None:
        """The split that is read, by default or as given; None where the format has none."""
        return self.split or self.default_splits.get(self.format)

    @property
    def is_per_client(self) -> bool:
        """Whether each client has a path of its own."""
        return self.path is not None and CLIENT_PLACEHOLDER in self.path

    def rules(self) -> Iterator[Violation]:
        """Each format has the fields that it needs and no other's."""
        yield from self._field_rules()
        if self.path is not None and set("{}") & set(self.path.replace(CLIENT_PLACEHOLDER, "")):
            yield Violation("path", f"is '{self.path}'; the only placeholder is {CLIENT_PLACEHOLDER}")
        if self.classes is not None and len(set(self.classes)) < len(self.classes):
            yield Violation("classes", "names a class twice")
        if self.format is DataFormat.TORCHVISION and self.split is Split.ALL:
            yield Violation("split", "is All, must be Train or Test for a Torchvision dataset")

    def _field_rules(self) -> Iterator[Violation]:
        required, allowed = FORMAT_FIELDS[self.format]
        for name in FIELDS_OF_SOME_FORMATS:
            field = DataSource.model_fields[name]
            given = getattr(self, name) != field.default
            if name in required and not given:
                yield Violation(field.alias or name, f"is missing; the format {self.format} needs it")
            if given and name not in required | allowed:
                yield Violation(field.alias or name, f"does not go with the format {self.format}; remove it")
