"""The manifest `SplitTrainingJob` and its spec."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from pslgs.spec.base import SpecModel
from pslgs.spec.data import DataSpec
from pslgs.spec.deployment import CheckpointSpec, ClientsSpec, ObjectMetadata, ServerSpec, TransportSpec
from pslgs.spec.early_stopping import EarlyStopping
from pslgs.spec.errors import Violation
from pslgs.spec.fault_tolerance import FaultTolerance
from pslgs.spec.loss import Loss, LossOptions, has_classes, loss_violations
from pslgs.spec.metrics import Metric, default_metric, metrics_of
from pslgs.spec.model import ModelSpec
from pslgs.spec.named_inputs import SHAPE_OF_EACH_INPUT
from pslgs.spec.optimizer import NO_EVALUATION, OptimizerSpec, ScheduleName
from pslgs.spec.partition import PartitionScheme
from pslgs.spec.scalars import DNS_1035_LABEL, Count, CountOrZero, Flag, Text
from pslgs.spec.training import EmaSpec, PrecisionSpec, SamplingSpec

API_VERSION: Final = "pslgs.dev/v1alpha1"
KIND: Final = "SplitTrainingJob"
MAX_NAME_LENGTH: Final = 40
"""Limit of the job's name; the names of its child objects are longer and must be DNS labels, too."""


class Metadata(SpecModel):
    """The fields of Kubernetes' object metadata that are used; the others are ignored."""

    model_config = ConfigDict(extra="ignore")

    name: Annotated[str, Field(max_length=MAX_NAME_LENGTH, pattern=DNS_1035_LABEL)] = Field(
        description=f"Name of the job, a DNS label of at most {MAX_NAME_LENGTH} characters that starts with "
        "a letter, as the name of its Service has to."
    )
    namespace: Text = Field(default="default", description="Namespace of the job.")
    labels: Mapping[str, str] = Field(default={}, description="Labels of the job.")
    annotations: Mapping[str, str] = Field(default={}, description="Annotations of the job.")


class JobSpec(SpecModel):
    """Training of one network by split learning over data that stay on their nodes."""

    model: ModelSpec = Field(description="The network and its cut layer.")
    data: DataSpec = Field(description="The training data and the evaluation data.")
    loss: Loss = Field(
        default=Loss.CROSS_ENTROPY,
        description="Loss function, averaged over the global batch. CrossEntropy: for classes, with one "
        "output for each. BinaryCrossEntropy: for labels of 0 and 1, of which a sample may have several. "
        "MeanSquaredError, Huber: for values. Custom: a function of yours (lossOptions.entrypoint).",
    )
    loss_options: LossOptions = Field(
        default=LossOptions(),
        description="Options of the loss function: weights, label smoothing, focus.",
    )
    epochs: Count = Field(description="Number of passes over the training data.")
    optimizer: OptimizerSpec = Field(
        default=OptimizerSpec(),
        description="The optimizer, applied to the client part and to the server part of the network.",
    )
    ema: EmaSpec = Field(
        default=EmaSpec(), description="The exponential moving average of the weights, if there is to be one."
    )
    precision: PrecisionSpec = Field(
        default=PrecisionSpec(), description="The number formats in which the parts of the network compute."
    )
    sampling: SamplingSpec = Field(
        default=SamplingSpec(), description="How the samples of a global batch are drawn from the clients."
    )
    evaluate_every_epochs: Count = Field(
        default=1, description="Number of epochs between two evaluations of the model."
    )
    metric: Metric | None = Field(
        default=None,
        description="Metric of the evaluations by which models are compared: for the best model and for "
        "early stopping. Accuracy, BalancedAccuracy, MacroPrecision, MacroRecall, MacroF1, AUROC, "
        "AveragePrecision: for classes. LabelAccuracy (share of the labels), SubsetAccuracy (share of the "
        "samples with all labels right) and the macro metrics: for BinaryCrossEntropy with several outputs. "
        "MeanAbsoluteError, RootMeanSquaredError, R2: for values. All metrics of a task are computed in any "
        "case. By default, it is Accuracy for CrossEntropy and for Custom with classes, otherwise Loss.",
    )
    early_stopping: EarlyStopping | None = Field(
        default=None,
        description="Ends the training once evaluations have stopped getting better. Without it, the job "
        "trains all epochs.",
    )
    checkpoint: CheckpointSpec = Field(
        default=CheckpointSpec(),
        description="How often checkpoints are written, how many are kept, and where.",
    )
    transport: TransportSpec = Field(
        default=TransportSpec(),
        description="Compression and encryption of the traffic between clients and server.",
    )
    fault_tolerance: FaultTolerance = Field(
        default=FaultTolerance(), description="How the job deals with lost and slow clients."
    )
    server: ServerSpec = Field(
        default=ServerSpec(), description="The server: its GPUs, Service and pod template."
    )
    clients: ClientsSpec = Field(
        default=ClientsSpec(), description="The clients: their nodes and pod template."
    )
    child_metadata: ObjectMetadata = Field(
        default=ObjectMetadata(),
        description="Labels and annotations of all objects that are created for the job, for policies, "
        "queues and cost reports. A change reaches pods at their next start.",
    )
    suspend: Flag = Field(
        default=False,
        description="Whether the job is suspended. While it is, its pods are deleted and its checkpoints are "
        "kept; set to false again, it resumes from the latest checkpoint.",
    )
    active_deadline_seconds: Count | None = Field(
        default=None,
        description="Maximum number of seconds that the job may run; after that, it fails. Without it, there "
        "is no limit.",
    )
    backoff_limit: CountOrZero = Field(
        default=6, description="Number of times that the server is restarted before the job fails."
    )
    ttl_seconds_after_finished: CountOrZero | None = Field(
        default=None,
        description="Number of seconds after the end of the job at which it is deleted. Without it, the job "
        "is kept.",
    )

    def rules(self) -> Iterator[Violation]:
        """Refuse options without effect, and what a partition cannot give: clients and classes."""
        yield from loss_violations(self.loss, self.loss_options)
        if self.data.inputs and self.model.input_shape is not None:
            yield Violation("model.inputShape", SHAPE_OF_EACH_INPUT)
        if self.optimizer.schedule.name is ScheduleName.REDUCE_ON_PLATEAU and self.data.evaluation is None:
            yield Violation("optimizer.schedule.name", NO_EVALUATION)
        yield from self._metric_rules()
        warm_up = self.optimizer.schedule.warmup_epochs
        if warm_up is not None and warm_up >= self.epochs:
            yield Violation(
                "optimizer.schedule.warmupEpochs", f"is {warm_up:g}, must be below epochs ({self.epochs})"
            )
        partition, needed = self.data.partition, self.fault_tolerance.min_available_clients
        if partition is None:
            return
        if isinstance(needed, int) and needed > partition.clients:
            yield Violation(
                "faultTolerance.minAvailableClients",
                f"is {needed}, must be at most data.partition.clients ({partition.clients})",
            )
        if partition.scheme is PartitionScheme.EXTENDED_DIRICHLET and not has_classes(
            self.loss, self.loss_options
        ):
            yield Violation(
                "data.partition.scheme",
                f"is {partition.scheme}, which needs classes, but the loss {self.loss} has none; use IID",
            )

    @property
    def chosen_metric(self) -> Metric:
        """Metric by which models are compared."""
        return self.metric or default_metric(self.loss, self.loss_options)

    def _metric_rules(self) -> Iterator[Violation]:
        """Refuse a metric that the loss does not have, and early stopping without evaluations."""
        known = metrics_of(self.loss, self.loss_options.labels)
        if self.metric is not None and self.metric not in known:
            yield Violation(
                "metric",
                f"is {self.metric}, which the loss {self.loss} does not have; use one of {', '.join(known)}",
            )
        if self.early_stopping is not None and self.data.evaluation is None:
            yield Violation(
                "earlyStopping", "needs evaluations, but there are no evaluation data; set data.evaluation"
            )


class SplitTrainingJob(SpecModel):
    """A manifest: training of one network by parallel split learning with global sampling."""

    api_version: Literal["pslgs.dev/v1alpha1"] = Field(description="Version of the API.")
    kind: Literal["SplitTrainingJob"] = Field(description="Kind of the object.")
    metadata: Metadata = Field(description="Name, namespace, labels and annotations.")
    spec: JobSpec = Field(description="Desired state of the job.")
