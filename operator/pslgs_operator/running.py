"""What a job that is to run needs: fixtures first, then the server's Job, then the clients'."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pslgs.spec import ServiceType
from pslgs_operator import names
from pslgs_operator.actions import Action, Annotate, Apply, Delete, IssueClient, IssueServer
from pslgs_operator.address import Address, certified_hosts
from pslgs_operator.job import Job
from pslgs_operator.manifests.child import expiry_annotation
from pslgs_operator.manifests.client import client_job
from pslgs_operator.manifests.fixtures import fixtures
from pslgs_operator.manifests.server import server_job
from pslgs_operator.observed import ChildJob, JobState, Observed, PodPhase
from pslgs_operator.placement import Placement, Placements
from pslgs_operator.renewal import renewal_time
from pslgs_operator.settings import Settings

_ENDED: Final = frozenset({PodPhase.SUCCEEDED, PodPhase.FAILED})


@dataclass(frozen=True, slots=True)
class Scene:
    """A job that is to run, and what is there of it.

    Attributes:
        begun: Whether its training has begun; from then on, Jobs that run are left as they are.
        address: Where clients find the server; None while that is not known.
    """

    job: Job
    observed: Observed
    placements: Placements
    settings: Settings
    now: datetime
    begun: bool
    address: Address | None

    @property
    def expires(self) -> datetime | None:
        """When a certificate ends that is issued now; None without TLS."""
        return self.now + self.settings.certificate_lifetime if self.job.mutual_tls else None


def actions(scene: Scene) -> Iterator[Action]:
    """Yield what is to be done; nothing when all is there."""
    departed = _departed(scene)
    obsolete = () if scene.begun else _obsolete(scene)
    leaving = frozenset(child.name for child in (*departed, *obsolete))
    yield from _fixtures(scene)
    yield from _departures(scene, departed)
    yield from (Delete("Job", child.name) for child in obsolete)
    if scene.address is None:
        return
    server, busy = scene.observed.server, _busy(scene.observed)
    if server is not None:
        stays = not server.deleting and server.name not in leaving
        open_to_clients = stays and server.state is JobState.ACTIVE
    else:
        can_start = bool(scene.placements.clients) and scene.placements.problem is None
        open_to_clients = can_start and names.server_name(scene.job.name) not in busy
        if open_to_clients:
            yield from _server(scene, scene.address)
    if open_to_clients:
        yield from _clients(scene, scene.address, busy)
    yield from _renewals(scene, scene.address, leaving)


def _fixtures(scene: Scene) -> Iterator[Action]:
    digest = scene.job.spec_digest
    for which, manifest in fixtures(scene.job, scene.settings).items():
        present = scene.observed.fixtures.get(which)
        if present == digest:
            continue
        if present is not None and which[0] == "Service" and _is_of_other_kind(scene):
            yield Delete(*which)
        yield Apply(manifest(scene.job, scene.settings))


def _is_of_other_kind(scene: Scene) -> bool:
    """Tell whether the Service changes to or from a headless one, which the API server does not allow."""
    headless = scene.observed.node_port is None
    return headless != (scene.job.spec.server.service.type is ServiceType.CLUSTER_IP)


def _departed(scene: Scene) -> tuple[ChildJob, ...]:
    """Find the clients of nodes that are gone or are not meant any more."""
    placed = {placement.client for placement in scene.placements.clients}
    clients = scene.observed.clients.items()
    return tuple(child for client, child in clients if client not in placed and not child.deleting)


def _departures(scene: Scene, departed: tuple[ChildJob, ...]) -> Iterator[Action]:
    for child in departed:
        yield Delete("Job", child.name)
        if scene.job.mutual_tls and child.client is not None:
            yield Delete("Secret", names.client_identity_name(scene.job.name, child.client))


def _obsolete(scene: Scene) -> tuple[ChildJob, ...]:
    """Find Jobs that were made from another spec and are still wanted; their templates cannot be changed."""
    digest = scene.job.spec_digest
    placed = {placement.client for placement in scene.placements.clients} | {None}
    return tuple(
        child
        for child in scene.observed.jobs
        if child.spec_digest != digest and not child.deleting and child.client in placed
    )


def _busy(observed: Observed) -> frozenset[str]:
    """Name the Jobs of which a pod is left: two servers would write one volume, two clients have one name."""
    return frozenset(pod.job for pod in observed.pods if pod.phase not in _ENDED)


def _server(scene: Scene, address: Address) -> Iterator[Action]:
    if scene.expires:
        yield IssueServer(certified_hosts(scene.job, address), scene.expires)
    yield Apply(server_job(scene.job, len(scene.placements.clients), scene.expires, scene.settings))


def _clients(scene: Scene, address: Address, busy: frozenset[str]) -> Iterator[Action]:
    for placement in scene.placements.clients:
        if placement.client in scene.observed.clients:
            continue
        if names.client_name(scene.job.name, placement.client) not in busy:
            yield from _client(scene, placement, address)


def _client(scene: Scene, placement: Placement, address: Address) -> Iterator[Action]:
    if scene.expires:
        yield IssueClient(placement.client, scene.expires)
    yield Apply(client_job(scene.job, placement, address, scene.expires, scene.settings))


def _renewals(scene: Scene, address: Address, leaving: frozenset[str]) -> Iterator[Action]:
    for child in scene.observed.jobs:
        due = renewal_time(child, scene.settings)
        if due is None or due > scene.now or scene.expires is None or child.name in leaving:
            continue
        if child.client is None:
            yield IssueServer(certified_hosts(scene.job, address), scene.expires)
        else:
            yield IssueClient(child.client, scene.expires)
        yield Annotate("Job", child.name, expiry_annotation(scene.expires))
