"""Whether a job may run, or has to wait until Kueue admits it."""

from pslgs_operator import names
from pslgs_operator.names import workload_name
from pslgs_operator.settings import Settings
from pslgs_operator.snapshot import Problem, Snapshot
from pslgs_operator.text import plain
from pslgs_operator.training_job import TrainingJob
from pslgs_operator.workload import Workload

WAITING = "WaitingForQuota"
EVICTED = "Evicted"
QUEUEING = frozenset({WAITING, EVICTED})
"""Reasons of a job that is not Ready because Kueue does not admit it."""


def is_queued(job: TrainingJob, settings: Settings) -> bool:
    """Return whether Kueue has to admit the job as a whole."""
    return settings.kueue and bool(job.queue_labels)


def hold(job: TrainingJob, snapshot: Snapshot, settings: Settings) -> Problem | None:
    """Return why the job has to wait for Kueue; None if its pods may run."""
    if not is_queued(job, settings):
        return None
    workload = snapshot.workload
    if (problem := snapshot.queue.problem) and not snapshot.jobs:
        return Problem(WAITING, problem)
    if workload is None or workload.deleting or workload.finished:
        name, queue = workload_name(job.name), job.queue_labels[names.QUEUE_LABEL]
        return Problem(WAITING, f"waiting for quota: Workload {name} in LocalQueue {queue} is being created")
    return None if workload.admitted and not workload.evicted else _hold(job, workload)


def _hold(job: TrainingJob, workload: Workload) -> Problem:
    """Return why the pods of a job with a Workload may not run."""
    if workload.evicted and workload.reserved:
        return Problem(EVICTED, f"{_eviction(workload)}; the server writes a checkpoint, and its pods end")
    if not workload.active:
        again = f"kubectl --namespace {job.namespace} patch workload {workload.name} --type merge"
        return Problem(
            WAITING,
            f"Workload {workload.name} is deactivated and not admitted until it is activated again: "
            f"""{again} --patch '{{"spec":{{"active":true}}}}'""",
        )
    return Problem(WAITING, _waiting(workload, job.queue_labels[names.QUEUE_LABEL]))


def _eviction(workload: Workload) -> str:
    evicted = workload.condition("Evicted")
    return f"Kueue evicted the job ({evicted.get('reason', '')}): {plain(str(evicted.get('message', '')))}"


def _waiting(workload: Workload, queue: str) -> str:
    said = f"waiting for quota in LocalQueue {queue}"
    pending = [f"{name} is {state}" for name, state in sorted(workload.checks.items()) if state != "Ready"]
    if workload.reserved and pending:
        said = f"quota is reserved; waiting for the admission check {', '.join(pending)}"
    elif answer := plain(str(workload.condition("QuotaReserved").get("message", ""))):
        said = f"{said}: {answer}"
    return f"{said}; before, {_eviction(workload)}" if workload.evicted else said


def places_of_clients(snapshot: Snapshot) -> int | None:
    """Return the number of clients that quota is reserved for; None if none is, so that it is not limited."""
    workload = snapshot.workload
    if workload is None or not workload.reserved:
        return None
    assignment = workload.assignments.get(names.CLIENT_PODS)
    return workload.counts.get(names.CLIENT_PODS, 0) if assignment is None else assignment.count
