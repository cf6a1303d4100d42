"""Checkpoint settings: how often checkpoints are written, how many are kept, and where."""

from collections.abc import Iterator

from pydantic import Field

from pslgs.spec.base import SpecModel
from pslgs.spec.errors import Violation
from pslgs.spec.scalars import Count, Quantity, Text


class StorageSpec(SpecModel):
    """The volume that holds the checkpoints in a cluster: a new or an existing PersistentVolumeClaim."""

    size: Quantity | None = Field(
        default=None,
        description="Size of the PersistentVolumeClaim to create, as a Kubernetes quantity.",
        examples=["10Gi"],
    )
    storage_class_name: Text | None = Field(
        default=None,
        description="Storage class of the PersistentVolumeClaim to create. Without it, the cluster's default "
        "class is used.",
    )
    claim_name: Text | None = Field(
        default=None,
        description="Name of an existing PersistentVolumeClaim to use. Without it, a new one of the given "
        "size is created.",
    )

    def rules(self) -> Iterator[Violation]:
        """Require either a size (new claim) or a claim name (existing claim), not both."""
        if self.claim_name is None and self.size is None:
            yield Violation(
                "size", "is missing; give the size of the new claim, or the claimName of an existing one"
            )
        if self.claim_name is not None:
            for name, value in (("size", self.size), ("storageClassName", self.storage_class_name)):
                if value is not None:
                    yield Violation(
                        name, "applies to a new claim, but claimName names an existing one; remove either"
                    )


class CheckpointSpec(SpecModel):
    """How often checkpoints are written, how many are kept, and where."""

    every_steps: Count = Field(default=500, description="Number of steps between two checkpoints.")
    keep: Count = Field(
        default=2, description="Number of checkpoints to keep; when a newer one is written, the oldest goes."
    )
    storage: StorageSpec | None = Field(
        default=None,
        description="Volume for the checkpoints and the model in a cluster. Without it, they are lost when "
        "the server's pod is deleted.",
    )
