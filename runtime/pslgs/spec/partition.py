"""The division of one common dataset among the clients of an experiment."""

from collections.abc import Iterator
from enum import StrEnum

from pydantic import Field

from pslgs.spec.base import SpecModel
from pslgs.spec.errors import Violation
from pslgs.spec.scalars import Count, Positive


class PartitionScheme(StrEnum):
    """How one common dataset is divided among the clients."""

    IID = "IID"
    EXTENDED_DIRICHLET = "ExtendedDirichlet"


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
