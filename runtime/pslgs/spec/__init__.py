"""The manifest `SplitTrainingJob`: fields, defaults, bounds, validation and loading."""

from pslgs.spec.checkpoint import CheckpointSpec, StorageSpec
from pslgs.spec.data import (
    DataSpec,
    EvaluationPlace,
    EvaluationSource,
    Partition,
    PartitionScheme,
    Transform,
)
from pslgs.spec.deployment import ClientsSpec, PodTemplate, ServerSpec, ServiceSpec, ServiceType
from pslgs.spec.digest import job_digest
from pslgs.spec.errors import InputError, Violation
from pslgs.spec.exit_codes import ExitCode
from pslgs.spec.faults import FaultTolerance, OnLostClient
from pslgs.spec.job import JobSpec, Metadata, SplitTrainingJob
from pslgs.spec.load import load_job, parse_job
from pslgs.spec.model import ModelSpec
from pslgs.spec.optimization import Loss, OptimizerName, OptimizerSpec, ScheduleName, ScheduleSpec
from pslgs.spec.sampling import LatentDirichletSpec, SamplingSpec, SamplingStrategy
from pslgs.spec.source import CLIENT_PLACEHOLDER, DataFormat, DataSource, Split
from pslgs.spec.transport import Compression, Tls, TransportSpec

__all__ = [
    "CLIENT_PLACEHOLDER",
    "CheckpointSpec",
    "ClientsSpec",
    "Compression",
    "DataFormat",
    "DataSource",
    "DataSpec",
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
