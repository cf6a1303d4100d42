"""Datasets: where samples are read from, and which fields each format needs."""

from collections.abc import Iterator, Mapping, Set
from enum import StrEnum
from types import MappingProxyType
from typing import Any, ClassVar, Final, NamedTuple

from pydantic import Field

from pslgs.spec.base import SpecModel
from pslgs.spec.errors import Violation
from pslgs.spec.scalars import Entrypoint, Text

CLIENT_PLACEHOLDER: Final = "{client}"
"""Placeholder for the client's id in a path."""

MAX_CLASSES: Final = 2**15


class DataFormat(StrEnum):
    """Formats in which samples are stored."""

    PARQUET = "Parquet"
    IMAGE_FOLDER = "ImageFolder"
    NUMPY = "NumPy"
    TORCHVISION = "Torchvision"
    SCIKIT_LEARN = "ScikitLearn"
    CUSTOM = "Custom"


class Split(StrEnum):
    """Parts of a dataset that is published as a whole."""

    TRAIN = "Train"
    TEST = "Test"
    ALL = "All"


class FormatFields(NamedTuple):
    """Names of the fields that a format requires, and of further ones that it allows."""

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
"""Fields of each format; ``format`` and ``classes`` apply to all of them."""

FIELDS_OF_SOME_FORMATS: Final = sorted(
    {name for fields in FORMAT_FIELDS.values() for name in fields.required | fields.allowed}
)


class DataSource(SpecModel):
    """A dataset of samples with labels."""

    format: DataFormat = Field(
        description="Format of the samples. Parquet, ImageFolder and NumPy require path, Torchvision "
        "requires name and path, ScikitLearn requires name, Custom requires entrypoint."
    )
    path: Text | None = Field(
        default=None,
        description="File, directory or glob pattern on the machine that reads the data; a relative path "
        "starts at the working directory. {client} in it is replaced by the client's id.",
        examples=["/data/train-*.parquet"],
    )
    name: Text | None = Field(
        default=None,
        description="Name of the dataset (Torchvision, ScikitLearn).",
        examples=["CIFAR10", "digits"],
    )
    entrypoint: Entrypoint | None = Field(
        default=None,
        description="Function that returns the dataset, as package.module:function (Custom). The dataset is "
        "an object with __len__ and __getitem__ whose items are pairs of input and label.",
        examples=["hospital.scans:dataset"],
    )
    options: Mapping[str, Any] = Field(
        default={}, description="Keyword arguments for the entrypoint (Custom)."
    )
    input_column: Text = Field(default="img", description="Name of the column with the inputs (Parquet).")
    label_column: Text = Field(default="label", description="Name of the column with the labels (Parquet).")
    classes: tuple[Text, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_CLASSES,
        json_schema_extra={"x-kubernetes-list-type": "set"},
        description="Names of the classes; a class's number is its position in this list, from 0. For "
        "ImageFolder, give them where clients hold different classes; without them, its folders are numbered "
        "in alphabetical order.",
    )
    split: Split | None = Field(
        default=None,
        description="Part of the dataset to read (Torchvision, ScikitLearn). For ScikitLearn, Test is every "
        "5th sample and Train is the rest. Without it, training reads Train of a Torchvision and All of a "
        "ScikitLearn dataset, and evaluation reads Test.",
    )

    default_splits: ClassVar[Mapping[DataFormat, Split]] = MappingProxyType(
        {DataFormat.TORCHVISION: Split.TRAIN, DataFormat.SCIKIT_LEARN: Split.ALL}
    )

    @property
    def chosen_split(self) -> Split | None:
        """The split that is read: as given, or the format's default; None for formats without splits."""
        return self.split or self.default_splits.get(self.format)

    @property
    def is_per_client(self) -> bool:
        """Whether the path differs by client."""
        return self.path is not None and CLIENT_PLACEHOLDER in self.path

    def rules(self) -> Iterator[Violation]:
        """Require the fields that the format needs, and refuse those of other formats."""
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
                yield Violation(field.alias or name, f"does not apply to the format {self.format}; remove it")
