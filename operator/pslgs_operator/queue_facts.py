"""Read what a queued job depends on beside its Workload: ResourceFlavors, and its priority class."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pslgs_operator.fields import whole
from pslgs_operator.gvk import FLAVORS
from pslgs_operator.job_state import TransientState
from pslgs_operator.kube_client import KubeClient, RejectedError
from pslgs_operator.manifests.workload import priority_class
from pslgs_operator.parse.workloads import read_flavor
from pslgs_operator.quota import is_queued
from pslgs_operator.settings import Settings
from pslgs_operator.snapshot import Snapshot
from pslgs_operator.training_job import TrainingJob
from pslgs_operator.workload import Flavor, QueueFacts, Workload


class _MissingError(Exception):
    """Something that the job names is not there; the message says what."""


async def with_queue_facts(
    cluster: KubeClient, job: TrainingJob, snapshot: Snapshot, state: TransientState, settings: Settings
) -> Snapshot:
    """Add them to the snapshot; the flavors of an admission are read once, and change no pods later.

    Raises:
        RetryableError: the API server doesn't answer.
    """
    workload = snapshot.workload
    if not is_queued(job, settings) or job.spec.suspend or job.status.finished:
        return snapshot
    try:
        if workload is None or not workload.reserved:
            facts = QueueFacts(priority=await _priority(cluster, job))
        else:
            facts = QueueFacts(await _flavors(cluster, workload, state) if workload.admitted else {})
    except _MissingError as missing:
        facts = QueueFacts(problem=str(missing))
    return replace(snapshot, queue=facts)


async def _priority(cluster: KubeClient, job: TrainingJob) -> int | None:
    found = priority_class(job)
    if found is None:
        return None
    resource, name = found
    body = await _read(cluster, resource.kind, name)
    value = whole(body, "value")
    return 0 if value is None else value


async def _flavors(cluster: KubeClient, workload: Workload, state: TransientState) -> Mapping[str, Flavor]:
    admission = (workload.uid, str(workload.condition("Admitted").get("lastTransitionTime")))
    if state.admission != admission:
        wanted = sorted({name for each in workload.assignments.values() for name in each.flavors})
        state.flavors = {name: read_flavor(await _read(cluster, FLAVORS.kind, name)) for name in wanted}
        state.admission = admission
    return state.flavors


async def _read(cluster: KubeClient, kind: str, name: str) -> Mapping[str, Any]:
    try:
        body = await cluster.find(kind, name)
    except RejectedError as refused:
        raise _MissingError(
            f"waiting for quota: {kind} {name} cannot be read: {refused.message}"
        ) from refused
    if body is None:
        raise _MissingError(
            f"waiting for quota: {kind} {name} does not exist; create it, or name another one"
        )
    return body
