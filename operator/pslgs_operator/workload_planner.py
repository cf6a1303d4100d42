"""Decide what has to be done about the Workload of a job."""

from collections.abc import Iterator
from typing import Any

from pslgs_operator import names
from pslgs_operator.actions import Action, Apply, Create, Delete, PatchWorkload
from pslgs_operator.gvk import WORKLOADS
from pslgs_operator.manifests import workload_status
from pslgs_operator.manifests.workload import demand_digest, workload
from pslgs_operator.plan_context import PlanContext
from pslgs_operator.quota import is_queued
from pslgs_operator.snapshot import Snapshot
from pslgs_operator.status.types import ConditionType
from pslgs_operator.workload import Workload


def workload_actions(context: PlanContext) -> Iterator[Action]:
    """Yield what is to be done about the Workload of a job that is to run."""
    job, snapshot, placements = context.job, context.snapshot, context.placements
    present = snapshot.workload
    if not is_queued(job, context.settings):
        yield from _deleted(present, "the job is in no queue")
    elif present is None:
        if placements.clients and placements.problem is None and not snapshot.queue.problem:
            yield Create(_rendered(context))
    elif present.finished:
        yield from _deleted(present, "it is finished, but the job is not")
    elif not present.deleting:
        yield from _upkeep(context, present)


def _upkeep(context: PlanContext, present: Workload) -> Iterator[Action]:
    snapshot, now = context.snapshot, context.now
    if not present.reserved:
        if context.placements.clients and not snapshot.queue.problem and _differs(context, present):
            yield Apply(_rendered(context))
    elif present.evicted:
        if not (snapshot.jobs or _has_pods(snapshot)):
            patch = workload_status.released(present, now)
            yield PatchWorkload(present.name, patch, "the pods have ended, and the quota is given back")
    elif outgrown(context):
        yield from _deleted(present, "the job asks for something else now")
    elif present.admitted and context.status.holds(ConditionType.READY) and not present.pods_ready:
        yield PatchWorkload(present.name, workload_status.pods_ready(present, now), "the training runs")


def outgrown(context: PlanContext) -> bool:
    """Return whether quota is reserved for something else than the job asks for, and does not train yet."""
    present = context.snapshot.workload
    if present is None or not present.reserved or not is_queued(context.job, context.settings):
        return False
    return not context.begun and present.demand != demand_digest(context.job, context.settings)


def finish_actions(context: PlanContext, *, patient: bool) -> Iterator[Action]:
    """Yield what gives the quota of an ended job back; while ``patient``, its last pods are awaited."""
    status, present = context.status, context.snapshot.workload
    if present is None or present.finished or present.deleting or (patient and _has_pods(context.snapshot)):
        return
    kind = ConditionType.FAILED if status.holds(ConditionType.FAILED) else ConditionType.COMPLETE
    reason = "Failed" if kind is ConditionType.FAILED else "Succeeded"
    ended = status.conditions[kind]
    patch = workload_status.finished(present, reason, f"{ended.reason}: {ended.message}", context.now)
    yield PatchWorkload(present.name, patch, "the job has ended")


def suspension_actions(snapshot: Snapshot) -> Iterator[Action]:
    """Yield what gives the quota of a suspended job back, once its pods have ended."""
    if not _has_pods(snapshot):
        yield from _deleted(snapshot.workload, "spec.suspend is true")


def _deleted(present: Workload | None, why: str) -> Iterator[Action]:
    if present is not None and not present.deleting:
        yield Delete(WORKLOADS.kind, present.name, present.uid, why)


def _has_pods(snapshot: Snapshot) -> bool:
    return any(not pod.has_ended for pod in snapshot.pods)


def _rendered(context: PlanContext) -> dict[str, Any]:
    clients = len(context.placements.clients)
    return workload(context.job, clients, context.settings, context.snapshot.queue.priority)


def _differs(context: PlanContext, present: Workload) -> bool:
    counts = {names.SERVER_PODS: 1, names.CLIENT_PODS: len(context.placements.clients)}
    return (
        present.demand != demand_digest(context.job, context.settings)
        or present.counts != counts
        or present.priority != context.snapshot.queue.priority
    )
