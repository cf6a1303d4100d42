"""Decide what has to be done about a job, in order."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from pslgs_operator import names
from pslgs_operator.actions import (
    Action,
    Apply,
    Create,
    Delete,
    DeleteTrainingJob,
    IssueClient,
    IssueServer,
)
from pslgs_operator.certificates import client_certificate_due, server_certificate_due
from pslgs_operator.drift import merge_patch
from pslgs_operator.endpoint import Endpoint, certified_hosts
from pslgs_operator.fields import mapping
from pslgs_operator.gvk import CLAIMS, SERVICES
from pslgs_operator.manifests.client import client_job
from pslgs_operator.manifests.job import with_template_digest
from pslgs_operator.manifests.metadata import child_metadata
from pslgs_operator.manifests.server import server_job
from pslgs_operator.manifests.workload import assigned
from pslgs_operator.placement import Placement
from pslgs_operator.plan_context import PlanContext
from pslgs_operator.pod_cleanup import surplus_pods
from pslgs_operator.quota import hold, is_queued
from pslgs_operator.renderings import rendered_client_digest, rendered_server_digest, rendered_supporting
from pslgs_operator.snapshot import ChildJob, ChildJobState, Snapshot, SupportingChild
from pslgs_operator.status.types import ConditionType, JobStatus
from pslgs_operator.training_job import TrainingJob
from pslgs_operator.workload_planner import finish_actions, outgrown, suspension_actions, workload_actions

LINGERING: Final = timedelta(seconds=60)
"""Clients that have not gone so long after the end of a training are not waited for any more."""


def plan(context: PlanContext) -> Iterator[Action]:
    """Decide what has to be done so that the cluster becomes what the job asks for.

    What comes later depends on what comes before.  The actions are rendered one by one when they are asked
    for: the Jobs of thousands of clients take seconds.
    """
    if context.status.finished:
        yield from _after_the_end(context)
    elif context.job.spec.suspend:
        yield from _deletions(context.snapshot.jobs, "spec.suspend is true")
        yield from suspension_actions(context.snapshot)
    else:
        yield from workload_actions(context)
        yield from _running(context)


def _why_held(context: PlanContext) -> str:
    """Return why no pod of the job may run now; empty if pods may."""
    if problem := hold(context.job, context.snapshot, context.settings):
        return f"{problem.reason}: {problem.message}"
    return "its Workload is replaced" if outgrown(context) else ""


def _running(context: PlanContext) -> Iterator[Action]:
    departed = _departed(context)
    obsolete = () if context.begun else _obsolete(context)
    leaving = frozenset(child.name for child in (*departed, *obsolete))
    yield from _leftovers(context)
    yield from _supporting(context)
    if held := _why_held(context):
        yield from _deletions(context.snapshot.jobs, held)
        return
    yield from _departures(departed)
    yield from _unused_secrets(context)
    yield from (Delete("Job", child.name, child.uid, "it was made from another spec") for child in obsolete)
    address = context.address
    if address is None:
        return
    server, busy = context.snapshot.server, _busy(context.snapshot)
    if server is not None:
        stays = not server.deleting and server.name not in leaving
        open_to_clients = stays and server.state is ChildJobState.ACTIVE
    else:
        can_start = bool(context.placements.clients) and context.placements.problem is None
        can_start = can_start and not context.snapshot.queue.problem
        open_to_clients = can_start and names.server_name(context.job.name) not in busy
        if open_to_clients:
            yield from _start_server(context, address)
    if open_to_clients and not context.snapshot.queue.problem:
        yield from _start_clients(context, address, busy)
    yield from _due_certificates(context, address, leaving)
    yield from surplus_pods(context.snapshot)


def _leftovers(context: PlanContext) -> Iterator[Action]:
    """Remove what an earlier job of the same name left, and own again what lost its owner."""
    yield from (
        Delete(*each, why="an earlier job of the same name left it") for each in context.snapshot.leftovers
    )
    for name in context.snapshot.unowned:
        metadata = child_metadata(context.job, name)
        kept = {each: metadata[each] for each in ("name", "namespace", "ownerReferences")}
        labels = {names.JOB_LABEL: context.job.name, names.JOB_UID_LABEL: context.job.uid}
        labels |= {names.MANAGED_BY_LABEL: names.FIELD_MANAGER}
        yield Apply({"apiVersion": "batch/v1", "kind": "Job", "metadata": {**kept, "labels": labels}})


def _supporting(context: PlanContext) -> Iterator[Action]:
    wanted = rendered_supporting(context.job, context.settings)
    for which, manifest in wanted.items():
        present = context.snapshot.supporting.get(which)
        if present is None:
            yield Apply(manifest)
        elif not present.deleting:
            yield from _restored(which, manifest, present)
    for which, present in context.snapshot.supporting.items():
        if which not in wanted and not present.deleting and _is_prunable(context.job, *which):
            yield Delete(*which, present.uid, "it is not wanted any more")


def _restored(
    which: tuple[str, str], manifest: Mapping[str, Any], present: SupportingChild
) -> Iterator[Action]:
    """Bring a supporting object to the rendered form, if it differs."""
    compared = _as_compared(manifest, present)
    settled = present.settled and _same_annotation(names.RENDERED_ANNOTATION, manifest, present)
    if settled or not merge_patch(compared, present.content):
        return
    if which[0] == SERVICES.kind and _is_headless(manifest) != _is_headless(present.content):
        yield Delete(*which, present.uid, "a Service cannot change to or from a headless one")
        yield Apply(manifest)
    else:
        yield Apply(compared)


def _as_compared(manifest: Mapping[str, Any], present: SupportingChild) -> Mapping[str, Any]:
    """Leave out a claim's spec unless another one is rendered now: users and plugins may enlarge it."""
    if manifest["kind"] != CLAIMS.kind or not _same_annotation(names.TEMPLATE_ANNOTATION, manifest, present):
        return manifest
    return {name: value for name, value in manifest.items() if name != "spec"}


def _same_annotation(name: str, manifest: Mapping[str, Any], present: SupportingChild) -> bool:
    objects = (manifest, present.content)
    rendered, written = (mapping(each, "metadata", "annotations").get(name) for each in objects)
    return bool(rendered == written)


def _is_headless(service: Mapping[str, Any]) -> bool:
    return bool(service["spec"].get("clusterIP") == "None")


def _is_prunable(job: TrainingJob, kind: str, name: str) -> bool:
    """Return whether a child that is not wanted any more may be deleted; claims go with the job only."""
    return kind != CLAIMS.kind and names.is_child_name(job.name, kind, name)


def _departed(context: PlanContext) -> tuple[ChildJob, ...]:
    """Find the clients of nodes that are gone or are not meant any more."""
    placed = {placement.client for placement in context.placements.clients}
    clients = context.snapshot.clients.items()
    return tuple(child for client, child in clients if client not in placed and not child.deleting)


def _departures(departed: Iterable[ChildJob]) -> Iterator[Action]:
    for child in departed:
        why = f"client {child.client} is not wanted on node {child.node} any more"
        yield Delete("Job", child.name, child.uid, why)


def _unused_secrets(context: PlanContext) -> Iterator[Action]:
    """Delete the Secrets of clients that are not wanted, and an authority in the job's own namespace.

    Without TLS none is wanted, but Jobs of a training that has begun go on mounting theirs.
    """
    wanted = {
        names.client_identity_name(context.job.name, each.client) for each in context.placements.clients
    }
    wanted.add(names.server_identity_name(context.job.name))
    if not (context.job.mutual_tls or context.begun):
        wanted = set()
    for name, secret in context.snapshot.certificates.items():
        if name not in wanted:
            yield Delete("Secret", name, secret.uid, "the job has no use for it any more")


def _obsolete(context: PlanContext) -> tuple[ChildJob, ...]:
    """Find Jobs that would be rendered otherwise now and are still wanted; templates cannot be changed.

    The spec, the operator's settings (images, pull secrets …) or its version may have changed since.
    """
    placed = {placement.client for placement in context.placements.clients} | {None}
    server, client = rendered_server_digest(context.job, context.settings), _client_digest(context)

    def is_as_rendered(child: ChildJob) -> bool:
        rendered = server if child.client is None else client
        return child.spec_digest == context.job.spec_digest and rendered in {None, child.template_digest}

    return tuple(
        child
        for child in context.snapshot.jobs
        if child.client in placed and not child.deleting and not is_as_rendered(child)
    )


def _client_digest(context: PlanContext) -> str | None:
    return context.address and rendered_client_digest(context.job, context.address, context.settings)


def _busy(snapshot: Snapshot) -> frozenset[str]:
    """Name the Jobs of which a pod is left: two servers would write one volume, two clients have one name."""
    pods = (*snapshot.earlier_pods, *(pod for pod in snapshot.pods if not pod.has_ended))
    return frozenset(pod.job for pod in pods)


def _start_server(context: PlanContext, address: Endpoint) -> Iterator[Action]:
    yield from _server_certificate(context, address)
    rendered = server_job(context.job, len(context.placements.clients), context.settings)
    _assign(context, rendered, names.SERVER_PODS)
    yield Create(with_template_digest(rendered, rendered_server_digest(context.job, context.settings)))


def _start_clients(context: PlanContext, address: Endpoint, busy: frozenset[str]) -> Iterator[Action]:
    digest = rendered_client_digest(context.job, address, context.settings)
    for placement in context.placements.clients:
        if placement.client in context.snapshot.clients:
            continue
        if names.client_name(context.job.name, placement.client) not in busy:
            yield from _start_client(context, placement, address, digest)


def _start_client(
    context: PlanContext, placement: Placement, address: Endpoint, digest: str
) -> Iterator[Action]:
    yield from _client_certificate(context, placement.client)
    rendered = client_job(context.job, placement, address, context.settings)
    _assign(context, rendered, names.CLIENT_PODS)
    yield Create(with_template_digest(rendered, digest))


def _assign(context: PlanContext, rendered: dict[str, Any], pod_set: str) -> None:
    """Add to a Job what Kueue assigned to its pods; a job that left its queue runs wherever it fits."""
    if is_queued(context.job, context.settings):
        rendered["spec"]["template"] = assigned(rendered["spec"]["template"], context.snapshot, pod_set)


def _due_certificates(context: PlanContext, address: Endpoint, leaving: frozenset[str]) -> Iterator[Action]:
    """Issue what is missing, damaged, due or of another authority, for Jobs that have pods to come."""
    for child in context.snapshot.jobs:
        if child.deleting or child.name in leaving or child.state is not ChildJobState.ACTIVE:
            continue
        if child.client is None:
            yield from _server_certificate(context, address)
        else:
            yield from _client_certificate(context, child.client)


def _server_certificate(context: PlanContext, address: Endpoint) -> Iterator[Action]:
    hosts = certified_hosts(context.job, address, context.settings)
    if context.job.mutual_tls and server_certificate_due(context.job, context.snapshot, hosts, context.now):
        yield IssueServer(hosts)


def _client_certificate(context: PlanContext, client: str) -> Iterator[Action]:
    if context.job.mutual_tls and client_certificate_due(context.job, context.snapshot, client, context.now):
        yield IssueClient(client)


def _after_the_end(context: PlanContext) -> Iterator[Action]:
    status, now = context.status, context.now
    end = expiry(context.job, status)
    if end is not None and now >= end:
        yield DeleteTrainingJob()
        return
    lingering = now < _end_of_lingering(status, now)
    yield from finish_actions(context, patient=lingering)
    if status.holds(ConditionType.FAILED) or not lingering:
        active = (each for each in context.snapshot.jobs if each.state is ChildJobState.ACTIVE)
        yield from _deletions(active, "the job has ended")


def _deletions(jobs: Iterable[ChildJob], why: str) -> Iterator[Action]:
    return (Delete("Job", each.name, each.uid, why) for each in jobs if not each.deleting)


def expiry(job: TrainingJob, status: JobStatus) -> datetime | None:
    """Return when the time to live is over."""
    seconds = job.spec.ttl_seconds_after_finished
    if seconds is None or status.completion_time is None:
        return None
    return status.completion_time + timedelta(seconds=seconds)


def _end_of_lingering(status: JobStatus, now: datetime) -> datetime:
    return (status.completion_time or now) + LINGERING
