"""The manifest as a whole."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from pslgs.spec.base import SpecModel
from pslgs.spec.checkpoint import CheckpointSpec
from pslgs.spec.data import DataSpec, PartitionScheme
from pslgs.spec.deployment import ClientsSpec, ServerSpec
from pslgs.spec.errors import Violation
from pslgs.spec.faults import FaultTolerance
from pslgs.spec.model import ModelSpec
from pslgs.spec.optimization import Loss, OptimizerSpec
from pslgs.spec.sampling import SamplingSpec
from pslgs.spec.scalars import DNS_LABEL, Count, CountOrZero, Flag, Text
from pslgs.spec.transport import TransportSpec

API_VERSION: Final = "pslgs.dev/v1alpha1"
KIND: Final = "SplitTrainingJob"
MAX_NAME_LENGTH: Final = 40
"""Names of the job's children are longer, and have to be DNS labels too."""


class Metadata(SpecModel):
    """The part of Kubernetes' object metadata that matters here; the rest of it is passed over."""

    model_config = ConfigDict(extra="ignore")

    name: Annotated[str, Field(max_length=MAX_NAME_LENGTH, pattern=DNS_LABEL)] = Field(
        description=f"Name of the job, a DNS label of at most {MAX_NAME_LENGTH} characters."
    )
    namespace: Text = Field(default="default", description="Namespace of the job.")
    labels: Mapping[str, str] = Field(default={}, description="Labels of the job.")
    annotations: Mapping[str, str] = Field(default={}, description="Annotations of the job.")


class JobSpec(SpecModel):
    """One network, trained over data that stays where it is."""

    model: ModelSpec = Field(description="The network and its cut layer.")
    data: DataSpec = Field(description="The data that it is trained and measured on.")
    loss: Loss = Field(default=Loss.CROSS_ENTROPY, description="The loss, a mean over the global batch.")
    epochs: Count = Field(description="Passes over all training data.")
    optimizer: OptimizerSpec = Field(default=OptimizerSpec(), description="The optimizer of both parts.")
    sampling: SamplingSpec = Field(default=SamplingSpec(), description="How global batches are drawn.")
    evaluate_every_epochs: Count = Field(default=1, description="Epochs between two evaluations.")
    checkpoint: CheckpointSpec = Field(
        default=CheckpointSpec(), description="When the training's state is kept."
    )
    transport: TransportSpec = Field(default=TransportSpec(), description="How tensors travel.")
    fault_tolerance: FaultTolerance = Field(
        default=FaultTolerance(), description="What happens when clients are lost or slow."
    )
    server: ServerSpec = Field(default=ServerSpec(), description="The server's pod.")
    clients: ClientsSpec = Field(default=ClientsSpec(), description="The clients' pods.")
    suspend: Flag = Field(
        default=False, description="Whether the job is stopped, its checkpoint kept, until it is false again."
    )
    active_deadline_seconds: Count | None = Field(
        default=None,
        description="The job fails when it has run for so long, in seconds; without it, it never does.",
    )
    backoff_limit: CountOrZero = Field(default=6, description="Restarts of the server before the job fails.")
    ttl_seconds_after_finished: CountOrZero | None = Field(
        default=None,
        description="The job is deleted so long after its end, in seconds; without it, it stays.",
    )

    def rules(self) -> Iterator[Violation]:
        """A partition has enough clients, and classes where it deals them out."""
        partition, needed = self.data.partition, self.fault_tolerance.min_available_clients
        if partition is None:
            return
        if isinstance(needed, int) and needed > partition.clients:
            yield Violation(
                "faultTolerance.minAvailableClients",
                f"is {needed}, must be at most data.partition.clients ({partition.clients})",
            )
        if partition.scheme is PartitionScheme.EXTENDED_DIRICHLET and self.loss is Loss.MEAN_SQUARED_ERROR:
            yield Violation(
                "data.partition.scheme",
                f"is {partition.scheme}, which deals out classes, but the loss {self.loss} has none; use IID",
            )


class SplitTrainingJob(SpecModel):
    """A manifest: one network trained by parallel split learning with global sampling."""

    api_version: Literal["pslgs.dev/v1alpha1"] = Field(description="Version of the API.")
    kind: Literal["SplitTrainingJob"] = Field(description="Kind of the object.")
    metadata: Metadata = Field(description="Name and labels.")
    spec: JobSpec = Field(description="What is wanted.")
