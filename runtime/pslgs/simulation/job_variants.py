"""Variants of a job: another strategy, partition, number of clients or seed."""

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from pslgs.spec.client_placeholder import CLIENT_PLACEHOLDER
from pslgs.spec.errors import InputError
from pslgs.spec.job import SplitTrainingJob
from pslgs.spec.manifest import parse_job, with_overrides
from pslgs.spec.partition import Partition, PartitionScheme
from pslgs.spec.training import Baseline, SamplingStrategy

if TYPE_CHECKING:  # imports numpy, which `pslgs --help` can do without
    from pslgs.sampling.strategy import Strategy

PARTITION: Final = "spec.data.partition"

PAPER_STRATEGIES: Final = (
    Baseline.CENTRALIZED,
    SamplingStrategy.GLOBAL,
    SamplingStrategy.FIXED_LOCAL,
    SamplingStrategy.FIXED_PROPORTIONAL_LOCAL,
)
"""The strategies that the paper compares."""


class Skew(StrEnum):
    """The partitions of the paper's experiments (arXiv 2407.15738)."""

    SEVERE = "severe"
    """Two classes at each client, in unequal parts."""
    MILD = "mild"
    """Five classes at each client, in unequal parts."""
    IID = "iid"
    """All alike."""


_CLASSES_PER_CLIENT = {Skew.SEVERE: 2, Skew.MILD: 5}


def job_variant(
    job: SplitTrainingJob,
    *,
    strategy: "Strategy | None" = None,
    clients: int | None = None,
    skew: Skew | None = None,
    seed: int | None = None,
) -> SplitTrainingJob:
    """Return the job with some settings replaced; None keeps the job's own.

    A strategy that pools data becomes Global with a single client.  Its partition has a single part; where
    each client has data of its own, the simulation combines them.  Other baselines leave the manifest's
    strategy unchanged, because a manifest cannot name them.

    Raises:
        InputError: there is no common dataset to partition, or the result is not a valid job.
    """
    overrides = []
    if seed is not None:
        overrides.append(f"spec.sampling.seed={seed}")
    if strategy is not None and not strategy.is_baseline:
        overrides.append(f"spec.sampling.strategy={strategy.name}")
    if strategy is not None and strategy.pools_data:
        overrides += ["spec.sampling.strategy=Global", "spec.faultTolerance.minAvailableClients=1"]
    if strategy is not None and strategy.pools_data and not job.spec.data.train.is_per_client:
        overrides += _partition(job, 1, Skew.IID)
    elif clients is not None or skew is not None:
        overrides += _partition(job, clients, skew)
    if not overrides:
        return job
    document = job.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return parse_job(with_overrides(document, overrides))


def _partition(job: SplitTrainingJob, clients: int | None, skew: Skew | None) -> list[str]:
    before = job.spec.data.partition
    if field := job.spec.data.train.per_client_field:
        raise InputError.at(
            PARTITION,
            "partitions one common dataset, but here each client has its own; leave out clients and "
            f"partition, or take {CLIENT_PLACEHOLDER} out of data.train.{field}",
        )
    count = clients or (before.clients if before else None)
    if count is None:
        raise InputError.at(f"{PARTITION}.clients", "is missing; say how many clients there are (--clients)")
    if skew is None and before is not None:
        return [f"{PARTITION}.clients={count}"]
    partition = partition_of(skew or Skew.IID, count)
    return [f"{PARTITION}={partition.model_dump_json(by_alias=True, exclude_defaults=True)}"]


def partition_of(skew: Skew, clients: int) -> Partition:
    """Return the partition called ``skew`` among ``clients`` clients."""
    if skew is Skew.IID:
        return Partition(scheme=PartitionScheme.IID, clients=clients)
    return Partition(
        scheme=PartitionScheme.EXTENDED_DIRICHLET,
        clients=clients,
        classes_per_client=_CLASSES_PER_CLIENT[skew],
        concentration=3.0,
    )
