"""The data of a job: training and evaluation datasets, transforms, and partitions for experiments."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, ClassVar, Final

from pydantic import ConfigDict, Field

from pslgs.spec.base import SpecModel
from pslgs.spec.errors import Violation
from pslgs.spec.scalars import Count, Identifier, Positive
from pslgs.spec.source import CLIENT_PLACEHOLDER, DataFormat, DataSource, Split


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
    max_samples_per_client: Count = Field(
        default=MAX_SAMPLES_PER_CLIENT,
        description="Maximum number of training samples, and of evaluation samples, that a client may "
        "report; a client that reports more is refused. Limits the server's memory, since its schedule takes "
        "up to 4 bytes for each training sample.",
    )

    def rules(self) -> Iterator[Violation]:
        """Keep training and evaluation data apart, and refuse a partition of data that differ by client."""
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
    """Tell whether two splits of one dataset share samples."""
    one, other = train.chosen_split, evaluation.chosen_split
    same = (train.format, train.name, train.path) == (evaluation.format, evaluation.name, evaluation.path)
    return same and one is not None and (one is other or Split.ALL in {one, other})
