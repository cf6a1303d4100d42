"""When the state of a training is kept, and where."""

from collections.abc import Iterator

from pydantic import Field

from pslgs.spec.base import SpecModel
from pslgs.spec.errors import Violation
from pslgs.spec.scalars import Count, Quantity, Text


class StorageSpec(SpecModel):
    """The volume of the checkpoints in a cluster: a new claim, or one that exists."""

    size: Quantity | None = Field(
        default=None, description="Size of the new claim, a quantity.", examples=["10Gi"]
    )
    storage_class_name: Text | None = Field(
        default=None, description="Storage class of the new claim; without it, the cluster's default."
    )
    claim_name: Text | None = Field(
        default=None, description="Name of a claim that exists, in place of a new one."
    )

    def rules(self) -> Iterator[Violation]:
        """A claim is made or taken, not both."""
        if self.claim_name is None and self.size is None:
            yield Violation(
                "size", "is missing; give the size of the new claim, or claimName of one that exists"
            )
        if self.claim_name is not None:
            for name, value in (("size", self.size), ("storageClassName", self.storage_class_name)):
                if value is not None:
                    yield Violation(
                        name, "belongs to a new claim, but claimName takes one that exists; remove either"
                    )


class CheckpointSpec(SpecModel):
    """When the state of a training is kept, and where."""

    every_steps: Count = Field(default=500, description="Steps between two checkpoints.")
    keep: Count = Field(default=2, description="Checkpoints that are kept, the newest ones.")
    storage: StorageSpec | None = Field(
        default=None,
        description="Volume for checkpoints and model in a cluster; without it, they end with the pod.",
    )
