"""Decide what has to be done about a job, in order, and when to look at it again."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
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
from pslgs_operator.certificates import client_certificate_due, renewal_times, server_certificate_due
from pslgs_operator.drift import merge_patch
from pslgs_operator.endpoint import Endpoint, certified_hosts, server_endpoint
from pslgs_operator.fields import mapping
from pslgs_operator.gvk import CLAIMS, SERVICES
from pslgs_operator.manifests.client import client_digest, client_job
from pslgs_operator.manifests.job import with_template_digest
from pslgs_operator.manifests.metadata import as_supporting, child_metadata
from pslgs_operator.manifests.server import server_digest, server_job
from pslgs_operator.manifests.supporting import supporting_objects
from pslgs_operator.placement import Placement, Placements
from pslgs_operator.pod_cleanup import surplus_pods
from pslgs_operator.requeue import RESYNC
from pslgs_operator.settings import Settings
from pslgs_operator.snapshot import ChildJob, ChildJobState, PodPhase, Snapshot, SupportingChild
from pslgs_operator.status.types import ConditionType, JobStatus
from pslgs_operator.training_job import TrainingJob


@dataclass(frozen=True, slots=True)
class Scene:
    """A job that is to run, and what is there of it.

    Attributes:
        begun: Whether its training has begun; from then on, Jobs that run are left as they are.
        address: Where clients find the server; None while that is not known.
    """

    job: TrainingJob
    snapshot: Snapshot
    placements: Placements
    settings: Settings
    now: datetime
    begun: bool
    address: Endpoint | None


def running_actions(scene: Scene) -> Iterator[Action]:
    """Yield what is to be done; nothing when all is there."""
    departed = _departed(scene)
    obsolete = () if scene.begun else _obsolete(scene)
    leaving = frozenset(child.name for child in (*departed, *obsolete))
    yield from _leftovers(scene)
    yield from _supporting(scene)
    yield from _departures(departed)
    yield from _unused_secrets(scene)
    yield from (Delete("Job", child.name, child.uid, "it was made from another spec") for child in obsolete)
    if scene.address is None:
        return
    server, busy = scene.snapshot.server, _busy(scene.snapshot)
    if server is not None:
        stays = not server.deleting and server.name not in leaving
        open_to_clients = stays and server.state is ChildJobState.ACTIVE
    else:
        can_start = bool(scene.placements.clients) and scene.placements.problem is None
        open_to_clients = can_start and names.server_name(scene.job.name) not in busy
        if open_to_clients:
            yield from _start_server(scene, scene.address)
    if open_to_clients:
        yield from _start_clients(scene, scene.address, busy)
    yield from _due_certificates(scene, scene.address, leaving)
    yield from surplus_pods(scene.snapshot)


def _leftovers(scene: Scene) -> Iterator[Action]:
    """Remove what an earlier job of the same name left, and own again what lost its owner."""
    yield from (
        Delete(*each, why="an earlier job of the same name left it") for each in scene.snapshot.leftovers
    )
    for name in scene.snapshot.unowned:
        metadata = child_metadata(scene.job, name)
        kept = {each: metadata[each] for each in ("name", "namespace", "ownerReferences")}
        labels = {names.JOB_LABEL: scene.job.name, names.JOB_UID_LABEL: scene.job.uid}
        labels |= {names.MANAGED_BY_LABEL: names.FIELD_MANAGER}
        yield Apply({"apiVersion": "batch/v1", "kind": "Job", "metadata": {**kept, "labels": labels}})


def _supporting(scene: Scene) -> Iterator[Action]:
    wanted = supporting_objects(scene.job, scene.settings)
    for which, build in wanted.items():
        manifest = as_supporting(build(scene.job, scene.settings))
        present = scene.snapshot.supporting.get(which)
        if present is None:
            yield Apply(manifest)
        elif not present.deleting:
            yield from _restored(which, manifest, present)
    for which, present in scene.snapshot.supporting.items():
        if which not in wanted and not present.deleting and _is_prunable(scene.job, *which):
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
    """Tell whether a child that is not wanted any more may be deleted; claims go with the job only."""
    return kind != CLAIMS.kind and names.is_child_name(job.name, kind, name)


def _departed(scene: Scene) -> tuple[ChildJob, ...]:
    """Find the clients of nodes that are gone or are not meant any more."""
    placed = {placement.client for placement in scene.placements.clients}
    clients = scene.snapshot.clients.items()
    return tuple(child for client, child in clients if client not in placed and not child.deleting)


def _departures(departed: Iterable[ChildJob]) -> Iterator[Action]:
    for child in departed:
        why = f"client {child.client} is not wanted on node {child.node} any more"
        yield Delete("Job", child.name, child.uid, why)


def _unused_secrets(scene: Scene) -> Iterator[Action]:
    """Delete the Secrets of clients that are not wanted, and an authority in the job's own namespace."""
    wanted = {names.client_identity_name(scene.job.name, each.client) for each in scene.placements.clients}
    wanted.add(names.server_identity_name(scene.job.name))
    for name, secret in scene.snapshot.certificates.items():
        if name not in wanted:
            yield Delete("Secret", name, secret.uid, "the job has no use for it any more")


def _obsolete(scene: Scene) -> tuple[ChildJob, ...]:
    """Find Jobs that would be rendered otherwise now and are still wanted; templates cannot be changed.

    The spec, the operator's settings (images, pull secrets …) or its version may have changed since.
    """
    placed = {placement.client for placement in scene.placements.clients} | {None}
    server, client = server_digest(scene.job, scene.settings), _client_digest(scene)

    def is_as_rendered(child: ChildJob) -> bool:
        rendered = server if child.client is None else client
        return child.spec_digest == scene.job.spec_digest and rendered in {None, child.template_digest}

    return tuple(
        child
        for child in scene.snapshot.jobs
        if child.client in placed and not child.deleting and not is_as_rendered(child)
    )


def _client_digest(scene: Scene) -> str | None:
    return scene.address and client_digest(scene.job, scene.address, scene.settings)


def _busy(snapshot: Snapshot) -> frozenset[str]:
    """Name the Jobs of which a pod is left: two servers would write one volume, two clients have one name."""
    return snapshot.occupied | {pod.job for pod in snapshot.pods if not pod.has_ended}


def _start_server(scene: Scene, address: Endpoint) -> Iterator[Action]:
    yield from _server_certificate(scene, address)
    rendered = server_job(scene.job, len(scene.placements.clients), scene.settings)
    yield Create(with_template_digest(rendered, server_digest(scene.job, scene.settings)))


def _start_clients(scene: Scene, address: Endpoint, busy: frozenset[str]) -> Iterator[Action]:
    digest = client_digest(scene.job, address, scene.settings)  # once for a thousand clients
    for placement in scene.placements.clients:
        if placement.client in scene.snapshot.clients:
            continue
        if names.client_name(scene.job.name, placement.client) not in busy:
            yield from _start_client(scene, placement, address, digest)


def _start_client(scene: Scene, placement: Placement, address: Endpoint, digest: str) -> Iterator[Action]:
    yield from _client_certificate(scene, placement.client)
    rendered = client_job(scene.job, placement, address, scene.settings)
    yield Create(with_template_digest(rendered, digest))


def _due_certificates(scene: Scene, address: Endpoint, leaving: frozenset[str]) -> Iterator[Action]:
    """Issue what is missing, damaged, due or of another authority, for Jobs that have pods to come."""
    for child in scene.snapshot.jobs:
        if child.deleting or child.name in leaving or child.state is not ChildJobState.ACTIVE:
            continue
        if child.client is None:
            yield from _server_certificate(scene, address)
        else:
            yield from _client_certificate(scene, child.client)


def _server_certificate(scene: Scene, address: Endpoint) -> Iterator[Action]:
    hosts = certified_hosts(scene.job, address, scene.settings)
    if scene.job.mutual_tls and server_certificate_due(scene.job, scene.snapshot, hosts, scene.now):
        yield IssueServer(hosts)


def _client_certificate(scene: Scene, client: str) -> Iterator[Action]:
    if scene.job.mutual_tls and client_certificate_due(scene.job, scene.snapshot, client, scene.now):
        yield IssueClient(client)


LINGERING: Final = timedelta(seconds=60)
"""Clients that have not gone so long after the end of a training are not waited for any more."""


def plan(  # noqa: PLR0913, PLR0917 - all that is known of a job
    job: TrainingJob,
    status: JobStatus,
    snapshot: Snapshot,
    placements: Placements,
    settings: Settings,
    now: datetime,
) -> tuple[Action, ...]:
    """Decide what has to be done so that the cluster becomes what the job asks for.

    ``status`` is the one just assessed.  What comes later depends on what comes before.
    """
    if status.finished:
        return tuple(_after_the_end(job, status, snapshot, now))
    if job.spec.suspend:
        return tuple(_deletions(snapshot.jobs, "spec.suspend is true"))
    begun = status.training_start_time is not None
    address = server_endpoint(job, snapshot)
    return tuple(running_actions(Scene(job, snapshot, placements, settings, now, begun, address)))


def next_look(
    job: TrainingJob, status: JobStatus, snapshot: Snapshot, settings: Settings, now: datetime
) -> timedelta:
    """Say how long nothing will have to be done, unless something is heard; at most `RESYNC`."""
    if status.finished:
        moments = list(_moments_after_the_end(job, status, snapshot))
    elif job.spec.suspend:
        moments = []
    else:
        moments = list(_moments_of_running(job, status, snapshot, settings, now))
    # What is past has been seen to just now; were it looked at again at once, an error would be a hot loop.
    return min([RESYNC, *(moment - now for moment in moments if moment > now)])


def _after_the_end(
    job: TrainingJob, status: JobStatus, snapshot: Snapshot, now: datetime
) -> Iterator[Action]:
    expiry = _expiry(job, status)
    if expiry is not None and now >= expiry:
        yield DeleteTrainingJob()
    elif status.holds(ConditionType.FAILED) or now >= _end_of_lingering(status, now):
        active = (each for each in snapshot.jobs if each.state is ChildJobState.ACTIVE)
        yield from _deletions(active, "the job has ended")


def _deletions(jobs: Iterable[ChildJob], why: str) -> Iterator[Action]:
    return (Delete("Job", each.name, each.uid, why) for each in jobs if not each.deleting)


def _expiry(job: TrainingJob, status: JobStatus) -> datetime | None:
    """Return when the time to live is over."""
    seconds = job.spec.ttl_seconds_after_finished
    if seconds is None or status.completion_time is None:
        return None
    return status.completion_time + timedelta(seconds=seconds)


def _end_of_lingering(status: JobStatus, now: datetime) -> datetime:
    return (status.completion_time or now) + LINGERING


def _moments_after_the_end(job: TrainingJob, status: JobStatus, snapshot: Snapshot) -> Iterator[datetime]:
    if expiry := _expiry(job, status):
        yield expiry
    if status.completion_time and any(each.state is ChildJobState.ACTIVE for each in snapshot.jobs):
        yield status.completion_time + LINGERING


def _moments_of_running(
    job: TrainingJob, status: JobStatus, snapshot: Snapshot, settings: Settings, now: datetime
) -> Iterator[datetime]:
    if any(pod.client is None and pod.phase is PodPhase.RUNNING for pod in snapshot.pods):
        yield now + settings.poll_interval
    if snapshot.server_reply is not None:
        yield snapshot.server_reply.heard + settings.silence_bound
    if status.start_time is not None and job.spec.active_deadline_seconds is not None:
        yield status.start_time + timedelta(seconds=job.spec.active_deadline_seconds)
    if any(each.state is ChildJobState.ACTIVE for each in snapshot.jobs):
        yield from renewal_times(snapshot)
