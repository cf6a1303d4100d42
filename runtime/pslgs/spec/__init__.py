"""The manifest `SplitTrainingJob`: fields, defaults, bounds, validation and loading."""

from pslgs.spec.data import (
    CLIENT_PLACEHOLDER,
    DataFormat,
    DataSource,
    DataSpec,
    EvaluationPlace,
    EvaluationSource,
    Partition,
    PartitionScheme,
    Split,
    Transform,
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
from pslgs.spec.errors import InputError, Violation
from pslgs.spec.exit_codes import ExitCode
from pslgs.spec.fault_tolerance import FaultTolerance, OnLostClient
from pslgs.spec.job import JobSpec, Metadata, SplitTrainingJob
from pslgs.spec.manifest import load_job, parse_job
from pslgs.spec.model import ModelSpec
from pslgs.spec.server_phase import ServerPhase
from pslgs.spec.training import (
    LatentDirichletSpec,
    Loss,
    OptimizerName,
    OptimizerSpec,
    SamplingSpec,
    SamplingStrategy,
    ScheduleName,
    ScheduleSpec,
)

__all__ = [
    "CLIENT_PLACEHOLDER",
    "CheckpointSpec",
    "ClientsSpec",
    "Compression",
    "DataFormat",
    "DataSource",
    "DataSpec",
    "Egress",
    "EvaluationPlace",
    "EvaluationSource",
    "ExitCode",
    "FaultTolerance",
    "InputError",
    "JobSpec",
    "LatentDirichletSpec",
    "Loss",
    "Metadata",
    "ModelSpec",
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
