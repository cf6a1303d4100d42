"""The data of a job: sources, evaluation, transforms and partition."""

from collections.abc import Iterator, Mapping, Set
from enum import StrEnum
from types import MappingProxyType
from typing import Any, ClassVar, Final, NamedTuple

from pydantic import ConfigDict, Field

from pslgs.spec.base import SpecModel
from pslgs.spec.errors import Violation
from pslgs.spec.scalars import Count, Entrypoint, Identifier, Positive, Text

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


class EvaluationPlace(StrEnum):
    """Where the evaluation data are read."""

    SERVER = "Server"
    CLIENTS = "Clients"


class PartitionScheme(StrEnum):
    """How one common dataset is divided among the clients."""

    IID = "IID"
    EXTENDED_DIRICHLET = "ExtendedDirichlet"


MAX_TRANSFORMS: Final = 64
MAX_SAMPLES_PER_CLIENT: Final = 10_000_000
"""By default: above what one edge node holds, and drawing that many samples takes seconds, not minutes."""


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


class EvaluationSource(DataSource):
    """The dataset on which the model is evaluated."""

    at: EvaluationPlace = Field(
        default=EvaluationPlace.SERVER,
        description="Where the evaluation data are read. Server: by the server. Clients: each client reads "
        "its own data and sends smashed data; the accuracy is reported over all clients and for each client.",
    )
    transforms: tuple[Transform, ...] | None = Field(
        default=None,
        max_length=MAX_TRANSFORMS,
        description="Transforms of an evaluation sample, applied in this order. Without them, the transforms "
        "of the training data apply, except for the random ones.",
    )

    default_splits: ClassVar[Mapping[DataFormat, Split]] = MappingProxyType(
        {DataFormat.TORCHVISION: Split.TEST, DataFormat.SCIKIT_LEARN: Split.TEST}
    )

    def rules(self) -> Iterator[Violation]:
        """Refuse a path per client for data that the server reads."""
        yield from super().rules()
        if self.at is EvaluationPlace.SERVER and self.is_per_client:
            yield Violation(
                "path",
                f"holds {CLIENT_PLACEHOLDER}, but the server reads the data; name one path or set "
                f"at: Clients",
            )


class Partition(SpecModel):
    """Division of one common dataset among the clients; for experiments."""

    scheme: PartitionScheme = Field(
        description="How samples are assigned to clients. IID: at random, in parts of equal size. "
        "ExtendedDirichlet: each client gets samples of a few classes only, in unequal amounts "
        "(arXiv 2302.01633)."
    )
    clients: Count = Field(description="Number of clients.")
    classes_per_client: Count = Field(
        default=2, description="Number of classes that each client holds (ExtendedDirichlet)."
    )
    concentration: Positive = Field(
        default=3.0,
        description="Concentration of the Dirichlet distribution by which a class is divided among its "
        "clients; smaller values make the parts more unequal (ExtendedDirichlet).",
    )

    def rules(self) -> Iterator[Violation]:
        """Refuse the settings of ExtendedDirichlet for an IID partition."""
        for name in ("classes_per_client", "concentration") if self.scheme is PartitionScheme.IID else ():
            field = Partition.model_fields[name]
            if getattr(self, name) != field.default:
                yield Violation(field.alias or name, "does not apply to the scheme IID; remove it")


class DataSpec(SpecModel):
    """The data of a job."""

    train: DataSource = Field(description="The training data. Each client reads its own data on its node.")
    evaluation: EvaluationSource | None = Field(
        default=None,
        description="The data on which the model is evaluated. Without it, the model is not evaluated.",
    )
    transforms: tuple[Transform, ...] = Field(
        default=(),
        max_length=MAX_TRANSFORMS,
        description="Transforms of a training sample, applied in this order. Random ones are drawn again in "
        "each epoch. By default, samples are not transformed.",
    )
    partition: Partition | None = Field(
        default=None,
        description="Division of data.train, when it is one dataset that all clients can read, among the "
        "clients; for experiments. Without it, each client trains on everything that it reads.",
    )
    range: tuple[float, ...] | None = Field(
        default=None,
        min_length=2,
        max_length=2,
        description="Two grey values that become 0 and 1, for images of more than 8 bits, such as [0, 4095] "
        "for 12 bits; values outside them become 0 or 1. Without it, 16-bit images are divided by 65535, and "
        "32-bit images (integers or floats) are refused, since their largest possible value is unknown.",
    )
    max_samples_per_client: Count = Field(
        default=MAX_SAMPLES_PER_CLIENT,
        description="Maximum number of training samples, and of evaluation samples, that a client may "
        "report; a client that reports more is refused. Limits the server's memory, since its schedule takes "
        "up to 4 bytes for each training sample.",
    )

    @property
    def value_range(self) -> tuple[float, float] | None:
        """``range`` as a pair."""
        return None if self.range is None else (self.range[0], self.range[1])

    def rules(self) -> Iterator[Violation]:
        """Keep training and evaluation data apart, and refuse a partition of data that differ by client."""
        if self.range is not None and self.range[0] >= self.range[1]:
            yield Violation("range", "must be two numbers, the lower one first, such as [0, 4095]")
        if self.evaluation is not None and _overlap(self.train, self.evaluation):
            yield Violation(
                "train.split",
                f"is {self.train.chosen_split}, which holds samples of the evaluation data "
                f"({self.evaluation.chosen_split}); set split: Train there and split: Test in "
                f"data.evaluation",
            )
        if self.partition is not None and self.train.is_per_client:
            yield Violation(
                "partition",
                f"divides one common dataset, but data.train.path differs by {CLIENT_PLACEHOLDER}; remove "
                f"either",
            )


def _overlap(train: DataSource, evaluation: DataSource) -> bool:
    """Return whether both read the same dataset, and their splits share samples."""
    one, other = train.chosen_split, evaluation.chosen_split
    same = (train.format, train.name, train.path) == (evaluation.format, evaluation.name, evaluation.path)
    return same and one is not None and (one is other or Split.ALL in {one, other})
