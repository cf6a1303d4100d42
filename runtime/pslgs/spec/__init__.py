"""The manifest `SplitTrainingJob`: fields, defaults, bounds, validation and loading."""

from pslgs.spec.client_placeholder import CLIENT_PLACEHOLDER
from pslgs.spec.data import (
    DataFormat,
    DataSource,
    DataSpec,
    EvaluationPlace,
    EvaluationSource,
    Split,
)
from pslgs.spec.deployment import (
    CheckpointSpec,
    ClientsSpec,
    Compression,
    Egress,
    ObjectMetadata,
    PodTemplate,
    ServerSpec,
    ServiceSpec,
    ServiceType,
    StorageSpec,
    Tls,
    TransportSpec,
)
from pslgs.spec.digest import job_digest
from pslgs.spec.early_stopping import EarlyStopping
from pslgs.spec.errors import InputError, Violation
from pslgs.spec.exit_codes import ExitCode
from pslgs.spec.fault_tolerance import FaultTolerance, OnLostClient
from pslgs.spec.inputs import Transform
from pslgs.spec.job import JobSpec, Metadata, SplitTrainingJob
from pslgs.spec.loss import ClassWeighting, LabelKind, Loss, LossOptions
from pslgs.spec.manifest import load_job, parse_job
from pslgs.spec.metrics import Metric
from pslgs.spec.model import InitialWeights, ModelSpec
from pslgs.spec.named_inputs import NamedInput
from pslgs.spec.optimizer import OptimizerName, OptimizerSpec, ScheduleName, ScheduleSpec
from pslgs.spec.partition import Partition, PartitionScheme
from pslgs.spec.server_phase import ServerPhase
from pslgs.spec.training import (
    LatentDirichletSpec,
    SamplingSpec,
    SamplingStrategy,
)

__all__ = [
    "CLIENT_PLACEHOLDER",
    "CheckpointSpec",
    "ClassWeighting",
    "ClientsSpec",
    "Compression",
    "DataFormat",
    "DataSource",
    "DataSpec",
    "EarlyStopping",
    "Egress",
    "EvaluationPlace",
    "EvaluationSource",
    "ExitCode",
    "FaultTolerance",
    "InitialWeights",
    "InputError",
    "JobSpec",
    "LabelKind",
    "LatentDirichletSpec",
    "Loss",
    "LossOptions",
    "Metadata",
    "Metric",
    "ModelSpec",
    "NamedInput",
    "ObjectMetadata",
    "OnLostClient",
    "OptimizerName",
    "OptimizerSpec",
    "Partition",
    "PartitionScheme",
    "PodTemplate",
    "SamplingSpec",
    "SamplingStrategy",
    "ScheduleName",
    "ScheduleSpec",
    "ServerPhase",
    "ServerSpec",
    "ServiceSpec",
    "ServiceType",
    "Split",
    "SplitTrainingJob",
    "StorageSpec",
    "Tls",
    "Transform",
    "TransportSpec",
    "Violation",
    "job_digest",
    "load_job",
    "parse_job",
]
