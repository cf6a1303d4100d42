"""The data of a job: what is trained on, what is measured on, and how samples are prepared."""

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
    """Who reads the evaluation data."""

    SERVER = "Server"
    CLIENTS = "Clients"


class PartitionScheme(StrEnum):
    """How one common dataset is dealt out to the clients."""

    IID = "IID"
    EXTENDED_DIRICHLET = "ExtendedDirichlet"


MAX_TRANSFORMS: Final = 64


class Transform(SpecModel):
    """A transform of one sample; all fields but ``name`` are keyword arguments, in torchvision's words."""

    model_config = ConfigDict(extra="allow")

    name: Identifier = Field(
        description="Class of torchvision.transforms.v2.",
        examples=["RandomCrop", "RandomHorizontalFlip", "Normalize"],
    )

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The keyword arguments, as written."""
        return MappingProxyType(self.model_extra or {})


class EvaluationSource(DataSource):
    """The dataset that the model is measured on."""

    at: EvaluationPlace = Field(
        default=EvaluationPlace.SERVER,
        description="Server reads the data there. Clients: each client holds its own and sends smashed data; "
        "the accuracy is reported pooled and for each client.",
    )
    transforms: tuple[Transform, ...] | None = Field(
        default=None,
        max_length=MAX_TRANSFORMS,
        description="Transforms of the evaluation data. Without them, those of the training data but the "
        "random ones.",
    )

    default_splits: ClassVar[Mapping[DataFormat, Split]] = MappingProxyType(
        {DataFormat.TORCHVISION: Split.TEST, DataFormat.SCIKIT_LEARN: Split.TEST}
    )

    def rules(self) -> Iterator[Violation]:
        """The server is no client."""
        yield from super().rules()
        if self.at is EvaluationPlace.SERVER and self.is_per_client:
            yield Violation(
                "path",
                f"holds {CLIENT_PLACEHOLDER}, and the server is no client; name one path or set at: Clients",
            )


class Partition(SpecModel):
    """Deals one common dataset out to the clients; for experiments."""

    scheme: PartitionScheme = Field(
        description="IID: at random and in equal parts. ExtendedDirichlet: each client gets some classes, "
        "and unequal parts of them (arXiv 2302.01633)."
    )
    clients: Count = Field(description="Number of clients.")
    classes_per_client: Count = Field(
        default=2, description="Classes that each client holds (ExtendedDirichlet)."
    )
    concentration: Positive = Field(
        default=3.0,
        description="The Dirichlet's concentration; the smaller, the more unequal (ExtendedDirichlet).",
    )

    def rules(self) -> Iterator[Violation]:
        """An IID partition has no skew to choose."""
        for name in ("classes_per_client", "concentration") if self.scheme is PartitionScheme.IID else ():
            field = Partition.model_fields[name]
            if getattr(self, name) != field.default:
                yield Violation(field.alias or name, "does not go with the scheme IID; remove it")


class DataSpec(SpecModel):
    """The data of a job."""

    train: DataSource = Field(description="The training data. Each client reads its own, at its node.")
    evaluation: EvaluationSource | None = Field(
        default=None, description="The data that the model is measured on; without it, it is not measured."
    )
    transforms: tuple[Transform, ...] = Field(
        default=(),
        max_length=MAX_TRANSFORMS,
        description="Transforms of a training sample, in this order, drawn anew in each epoch.",
    )
    partition: Partition | None = Field(
        default=None,
        description="Deals data.train, common to all clients, out to them; for experiments. Without it, each "
        "client has all that it reads.",
    )

    def rules(self) -> Iterator[Violation]:
        """The model is not measured on what it learnt, and only common data are dealt out."""
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
                f"deals out one common dataset, but data.train.path differs by {CLIENT_PLACEHOLDER}; remove "
                f"either",
            )


def _overlap(train: DataSource, evaluation: DataSource) -> bool:
    """Tell whether two splits of one dataset share samples."""
    one, other = train.chosen_split, evaluation.chosen_split
    same = (train.format, train.name, train.path) == (evaluation.format, evaluation.name, evaluation.path)
    return same and one is not None and (one is other or Split.ALL in {one, other})
