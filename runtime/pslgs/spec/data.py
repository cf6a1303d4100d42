"""The data of a job: sources, evaluation, inputs and partition."""

import unicodedata
from collections.abc import Iterator, Mapping, Set
from enum import StrEnum
from types import MappingProxyType
from typing import Any, ClassVar, Final, NamedTuple

from pydantic import Field

from pslgs.spec.base import SpecModel
from pslgs.spec.client_placeholder import CLIENT_PLACEHOLDER, texts_per_client
from pslgs.spec.errors import Violation
from pslgs.spec.inputs import (
    INPUT_TYPE_DESCRIPTION,
    LAYOUT_DESCRIPTION,
    LENGTH_DESCRIPTION,
    MAX_TRANSFORMS,
    RANGE_DESCRIPTION,
    STANDARDIZE_DESCRIPTION,
    WINDOW_DESCRIPTION,
    InputType,
    Layout,
    Standardization,
    Transform,
)
from pslgs.spec.named_inputs import (
    COLUMNS_OF_CSV,
    COLUMNS_OF_EACH_INPUT,
    COLUMNS_WITHOUT_TABLE,
    EACH_INPUT,
    FIELDS_OF_ONE_INPUT,
    INPUTS_DESCRIPTION,
    INPUTS_TWICE,
    INTEGER_INPUTS,
    MAX_COLUMNS,
    MAX_INPUTS,
    RANGE_ORDER,
    NamedInput,
)
from pslgs.spec.partition import Partition
from pslgs.spec.scalars import Count, Entrypoint, Text

MAX_CLASSES: Final = 2**15
CLASSES_TWICE: Final = "cannot be given together with data.classes; remove it"


class DataFormat(StrEnum):
    """Formats in which samples are stored."""

    PARQUET = "Parquet"
    CSV = "CSV"
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
        DataFormat.PARQUET: FormatFields(
            {"path"}, {"input_column", "input_columns", "label_column", "label_columns"}
        ),
        DataFormat.CSV: FormatFields({"path"}, {"input_columns", "label_column", "label_columns"}),
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
        description="Format of the samples. Parquet, ImageFolder and NumPy require path, CSV requires path "
        "and inputColumns or data.inputs, Torchvision requires name and path, ScikitLearn requires name, "
        "Custom requires entrypoint."
    )
    path: Text | None = Field(
        default=None,
        description="File, directory or glob pattern on the machine that reads the data; a relative path "
        "starts at the working directory. {client} in it is replaced by the client's id, or by the name of a "
        "file or folder there that becomes the id in lower case and with '-' for spaces and '_'.",
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
        default={},
        description="Keyword arguments for the entrypoint (Custom). {client} in a text, at any depth, is "
        "replaced as in path.",
    )
    input_column: Text = Field(default="img", description="Name of the column with the inputs (Parquet).")
    input_columns: tuple[Text, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_COLUMNS,
        description="Names of the columns that make up an input, in the order of the model's inputs (CSV, "
        "Parquet). Columns of numbers are the features of a sample; columns of lists of one length are its "
        "channels. Numbers are not scaled.",
        examples=["[age, pressure]"],
    )
    label_column: Text = Field(
        default="label", description="Name of the column with the labels (Parquet, CSV)."
    )
    label_columns: tuple[Text, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_COLUMNS,
        description="Names of the columns with the labels of samples that have several: the targets of a "
        "regression, or yes (1) and no (0) for each label (Parquet, CSV). It replaces labelColumn.",
        examples=["[cough, fever]"],
    )
    classes: tuple[Text, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_CLASSES,
        json_schema_extra={"x-kubernetes-list-type": "set"},
        description="Names of the classes of this dataset; data.classes is the better place, and only one of "
        "them may be given. In data.train they are data.classes. In data.evaluation they name the class "
        "numbers of a dataset that has no names of its own.",
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
        """Whether the data differ by client."""
        return self.per_client_field is not None

    @property
    def per_client_field(self) -> str | None:
        """The field with ``{client}``, ``path`` or ``options``; None if the data are the same for all."""
        if CLIENT_PLACEHOLDER in (self.path or ""):
            return "path"
        return "options" if any(texts_per_client(self.options)) else None

    def rules(self) -> Iterator[Violation]:
        """Require the fields that the format needs, and refuse those of other formats."""
        yield from self._field_rules()
        if self.path is not None and set("{}") & set(self.path.replace(CLIENT_PLACEHOLDER, "")):
            yield Violation("path", f"is '{self.path}'; the only placeholder is {CLIENT_PLACEHOLDER}")
        if self.classes is not None and len(set(self.classes)) < len(self.classes):
            yield Violation("classes", "names a class twice")
        for several, one in (("input_columns", "input_column"), ("label_columns", "label_column")):
            field, other = DataSource.model_fields[one], DataSource.model_fields[several].alias
            if getattr(self, several) is not None and getattr(self, one) != field.default:
                yield Violation(field.alias or one, f"is given beside {other}; remove either")
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


class OnDamagedSample(StrEnum):
    """What happens when a sample cannot be read, or has values that are not finite."""

    FAIL = "Fail"
    SKIP = "Skip"


MAX_SAMPLES_PER_CLIENT: Final = 10_000_000
"""By default: above what one edge node holds, and drawing that many samples takes seconds, not minutes."""


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
        if self.at is EvaluationPlace.SERVER and (field := self.per_client_field):
            yield Violation(
                field,
                f"holds {CLIENT_PLACEHOLDER}, but the server reads the data; name one path or set "
                f"at: Clients",
            )


class DataSpec(SpecModel):
    """The data of a job."""

    train: DataSource = Field(description="The training data. Each client reads its own data on its node.")
    evaluation: EvaluationSource | None = Field(
        default=None,
        description="The data on which the model is evaluated. Without it, the model is not evaluated.",
    )
    classes: tuple[Text, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_CLASSES,
        json_schema_extra={"x-kubernetes-list-type": "set"},
        description="Names of the job's classes, in the order of the model's outputs: the number of a class "
        "is its position in this list, from 0. Samples of training and evaluation data belong to the class "
        "of the same name: of a folder, a text label, or the names that the data have for their numbers. A "
        "client may lack classes, and one that has others is refused. Numbers without names are positions in "
        "this list. Without it, the classes are those that are found in the training data, in alphabetical "
        "order of folders and text labels; they must then be the same at all clients.",
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
        description=RANGE_DESCRIPTION,
    )
    window: tuple[float, ...] | None = Field(
        default=None,
        min_length=2,
        max_length=2,
        description=WINDOW_DESCRIPTION,
        examples=["[40, 400]"],
    )
    layout: Layout | None = Field(default=None, description=LAYOUT_DESCRIPTION)
    input_type: InputType = Field(default=InputType.FLOAT, description=INPUT_TYPE_DESCRIPTION)
    length: Count | None = Field(default=None, description=LENGTH_DESCRIPTION)
    standardize: Standardization = Field(default=Standardization.NONE, description=STANDARDIZE_DESCRIPTION)
    on_damaged_sample: OnDamagedSample = Field(
        default=OnDamagedSample.FAIL,
        description="What happens when a sample cannot be read, or has values that are not finite. Fail: the "
        "job fails when the sample is drawn. Skip: each client reads all of its samples before it joins, and "
        "leaves damaged ones out; they are listed in its log and counted by client. A sample that becomes "
        "damaged later fails the job, and missing values of a CSV or Parquet table do in either case.",
    )
    inputs: tuple[NamedInput, ...] = Field(
        default=(),
        max_length=MAX_INPUTS,
        description=INPUTS_DESCRIPTION,
        examples=["[{name: image}, {name: person, columns: [age, sex]}]"],
    )
    max_samples_per_client: Count = Field(
        default=MAX_SAMPLES_PER_CLIENT,
        description="Maximum number of training samples, and of evaluation samples, that a client may "
        "report; a client that reports more is refused. Limits the server's memory, since its schedule takes "
        "up to 4 bytes for each training sample.",
    )

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The names of the job's classes as given, in Unicode's normal form C; None if data have to say."""
        given = self.classes or self.train.classes
        return given and tuple(unicodedata.normalize("NFC", name) for name in given)

    @property
    def value_range(self) -> tuple[float, float] | None:
        """``range`` as a pair, or the range of ``window`` (DICOM PS3.3, C.11.2.1.2.1)."""
        if self.window is not None:
            center, width = self.window
            return center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2
        return None if self.range is None else (self.range[0], self.range[1])

    @property
    def is_standardized(self) -> bool:
        """Whether inputs are standardised."""
        return self.standardize is not Standardization.NONE

    def rules(self) -> Iterator[Violation]:
        """Keep training and evaluation data apart, and refuse a partition of data that differ by client."""
        for name, source in (("train", self.train), ("evaluation", self.evaluation)):
            if self.classes is not None and source is not None and source.classes is not None:
                yield Violation(f"{name}.classes", CLASSES_TWICE)
        if len(set(self.classes or ())) < len(self.classes or ()):
            yield Violation("classes", "names a class twice")
        if self.range is not None and self.range[0] >= self.range[1]:
            yield Violation("range", RANGE_ORDER)
        if self.window is not None and self.window[1] <= 1:
            yield Violation("window", "must be a center and a width above 1, such as [40, 400]")
        if self.window is not None and self.range is not None:
            yield Violation("window", "is given beside range; remove either")
        yield from self._input_rules()
        yield from self._named_input_rules()
        if self.evaluation is not None and _overlap(self.train, self.evaluation):
            yield Violation(
                "train.split",
                f"is {self.train.chosen_split}, which holds samples of the evaluation data "
                f"({self.evaluation.chosen_split}); set split: Train there and split: Test in "
                f"data.evaluation",
            )
        if self.partition is not None and (field := self.train.per_client_field):
            yield Violation(
                "partition",
                f"divides one common dataset, but data.train.{field} differs by {CLIENT_PLACEHOLDER}; remove "
                f"either",
            )

    def _input_rules(self) -> Iterator[Violation]:
        """Refuse settings of arrays for images, and of floats for integers, which would have no effect."""
        for name in FIELDS_OF_ARRAYS if self.train.format in FORMATS_OF_IMAGES else ():
            field = DataSpec.model_fields[name]
            if getattr(self, name) != field.default:
                yield Violation(
                    field.alias or name, f"does not apply to the format {self.train.format}; remove it"
                )
        for name in FIELDS_OF_FLOATS if self.input_type is InputType.INTEGER else ():
            if getattr(self, name) != DataSpec.model_fields[name].default:
                yield Violation(name, INTEGER_INPUTS)
        if (
            self.input_type is InputType.INTEGER
            and self.evaluation
            and self.evaluation.transforms is not None
        ):
            yield Violation("evaluation.transforms", INTEGER_INPUTS)

    def _named_input_rules(self) -> Iterator[Violation]:
        """Refuse several inputs for formats without them, and settings that each of them has itself."""
        for path, source in (("train", self.train), ("evaluation", self.evaluation)):
            if source is not None:
                yield from self._source_rules(path, source)
        if not self.inputs:
            return
        names = [each.name for each in self.inputs]
        if len(set(names)) < len(names):
            yield Violation("inputs", INPUTS_TWICE)
        for name in FIELDS_OF_ONE_INPUT:
            field = DataSpec.model_fields[name]
            if getattr(self, name) != field.default:
                yield Violation(field.alias or name, EACH_INPUT)
        if self.evaluation is not None and self.evaluation.transforms is not None:
            yield Violation("evaluation.transforms", EACH_INPUT)

    def _source_rules(self, path: str, source: DataSource) -> Iterator[Violation]:
        """Require columns of one input or of several, and refuse both, and formats without them."""
        if not self.inputs:
            if source.format is DataFormat.CSV and source.input_columns is None:
                yield Violation(f"{path}.inputColumns", COLUMNS_OF_CSV)
            return
        for name in ("input_column", "input_columns"):
            field = DataSource.model_fields[name]
            if getattr(source, name) != field.default:
                yield Violation(f"{path}.{field.alias}", COLUMNS_OF_EACH_INPUT)
        if source.format not in FORMATS_WITH_COLUMNS and any(each.columns for each in self.inputs):
            yield Violation("inputs", COLUMNS_WITHOUT_TABLE)
        if source.format not in FORMATS_OF_INPUTS:
            problem = (
                f"does not apply to the format {source.format} of data.{path}, whose samples are one input"
            )
            yield Violation("inputs", f"{problem}; use {FORMATS_WITH_INPUTS}")


FORMATS_WITH_COLUMNS: Final = (DataFormat.CSV, DataFormat.PARQUET)
FORMATS_OF_INPUTS: Final = (*FORMATS_WITH_COLUMNS, DataFormat.NUMPY, DataFormat.CUSTOM)
"""Formats that can store several inputs of a sample."""

FORMATS_WITH_INPUTS: Final = "CSV, Parquet, NumPy or Custom"

FORMATS_OF_IMAGES: Final = (DataFormat.IMAGE_FOLDER, DataFormat.TORCHVISION, DataFormat.SCIKIT_LEARN)
"""Formats whose samples have a known form: images, and the features of scikit-learn."""

FIELDS_OF_ARRAYS: Final = ("layout", "input_type", "length")
"""Fields that say what the arrays of the other formats mean."""

FIELDS_OF_FLOATS: Final = ("transforms", "range", "window", "standardize")
"""Fields that do not apply to integer inputs."""


def _overlap(train: DataSource, evaluation: DataSource) -> bool:
    """Return whether both read the same dataset, and their splits share samples."""
    one, other = train.chosen_split, evaluation.chosen_split
    same = (train.format, train.name, train.path) == (evaluation.format, evaluation.name, evaluation.path)
    return same and one is not None and (one is other or Split.ALL in {one, other})
