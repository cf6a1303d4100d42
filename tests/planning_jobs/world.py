"""A cluster as a value: actions change it as they would change the real one, and it can be observed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from manifests.jobs import job
from pslgs.spec import ServiceType
from pslgs_operator.actions import (
    Action,
    Apply,
    Create,
    Delete,
    DeleteTrainingJob,
    IssueClient,
    IssueServer,
)
from pslgs_operator.certificate_authority import Authority, advanced, authority_secret
from pslgs_operator.certificates import certificate_secret
from pslgs_operator.parse.jobs import read_job
from pslgs_operator.parse.secrets import read_certificate_secret
from pslgs_operator.parse.supporting import supporting_reader
from pslgs_operator.placement import place_clients
from pslgs_operator.plan_context import PlanContext
from pslgs_operator.planner import plan
from pslgs_operator.settings import Settings
from pslgs_operator.snapshot import (
    CertificateSecret,
    ChildJob,
    ChildJobState,
    ChildPod,
    Node,
    PodPhase,
    Snapshot,
    SupportingChild,
)
from pslgs_operator.status.types import JobStatus
from pslgs_operator.training_job import TrainingJob

DEFAULTS = Settings()
AUTHORITIES: dict[str, Authority] = {}
"""What the Secrets of authorities hold, by digest."""


@dataclass(frozen=True, slots=True)
class World:
    """Nodes, and the children of one job.

    Attributes:
        objects: Manifests of everything but Jobs, by kind and name.
        pods: The pod of each Job, by its name; that of a deleted one stays until it has ended.
        gone: Whether the job itself was deleted.
    """

    now: datetime
    nodes: Mapping[str, Node] = field(default_factory=dict)
    objects: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    jobs: Mapping[str, ChildJob] = field(default_factory=dict)
    pods: Mapping[str, ChildPod] = field(default_factory=dict)
    certificates: Mapping[str, CertificateSecret] = field(default_factory=dict)
    authority: CertificateSecret | None = None
    load_balancer: str | None = None
    gone: bool = False
    settings: Settings = DEFAULTS

    def snapshot(self) -> Snapshot:
        service = next((each for (kind, _), each in self.objects.items() if kind == "Service"), None)
        kind = service["spec"]["type"] if service else ServiceType.CLUSTER_IP
        return Snapshot(
            nodes=tuple(self.nodes.values()),
            server=next((each for each in self.jobs.values() if each.client is None), None),
            clients={each.client: each for each in self.jobs.values() if each.client is not None},
            pods=tuple(self.pods.values()),
            supporting={
                which: SupportingChild("uid", supporting_reader(which[0])(each).content)
                for which, each in self.objects.items()
            },
            certificates=self.certificates,
            authority=self.authority,
            service_address=self.load_balancer if kind == ServiceType.LOAD_BALANCER else None,
            node_port=None if kind == ServiceType.CLUSTER_IP else 30123,
        )

    def after(self, actions: Iterable[Action]) -> "World":
        world = self
        for action in actions:
            world = world._after(action)
        return world

    def _after(self, action: Action) -> "World":
        match action:
            case Create(manifest):
                world = self._with_job(manifest)
            case Apply(manifest):
                which = (manifest["kind"], manifest["metadata"]["name"])
                world = replace(self, objects={**self.objects, which: manifest})
            case IssueServer() | IssueClient():
                world = self._with_certificate(action)
            case Delete("Job", name):
                world = self.without_job(name)
            case Delete("Secret", name):
                world = self.without_certificate(name)
            case Delete(kind, name):
                world = self.without_object(kind, name)
            case DeleteTrainingJob():
                world = World(self.now, self.nodes, gone=True)
        return world

    def _with_job(self, manifest: Mapping[str, Any]) -> "World":
        name = manifest["metadata"]["name"]
        assert name not in self.jobs, f"the template of {name} cannot be changed"
        assert name not in self.pods, f"a pod of the last {name} has not ended"
        child = read_job(manifest)
        pod = ChildPod(f"{name}-0", name, child.client, self.now, PodPhase.PENDING, node=child.node)
        return replace(self, jobs={**self.jobs, name: child}, pods={**self.pods, name: pod})

    def _with_certificate(self, action: IssueServer | IssueClient) -> "World":
        wanted = job()
        stored = (
            AUTHORITIES.get(self.authority.authority) if self.authority and self.authority.complete else None
        )
        authority = advanced(stored, wanted, self.now)
        AUTHORITIES[authority.digest] = authority
        secret = certificate_secret(wanted, authority, action, self.settings, self.now)
        issued = replace(read_certificate_secret(secret), complete=True)
        kept = read_certificate_secret(authority_secret(authority, wanted, "pslgs-system"))
        certificates = {**self.certificates, issued.name: issued}
        return replace(self, certificates=certificates, authority=replace(kept, complete=True))

    def without_certificate(self, name: str) -> "World":
        left = {each: secret for each, secret in self.certificates.items() if each != name}
        return replace(self, certificates=left)

    def without_object(self, kind: str, name: str) -> "World":
        left = {which: each for which, each in self.objects.items() if which != (kind, name)}
        return replace(self, objects=left)

    def without_job(self, name: str) -> "World":
        left = {each: job for each, job in self.jobs.items() if each != name}
        pods = {each: replace(pod, deleting=True) if each == name else pod for each, pod in self.pods.items()}
        return replace(self, jobs=left, pods=pods)

    def settled(self) -> "World":
        """Pods of deleted Jobs have ended, and the others run."""
        pods = {
            name: replace(pod, phase=PodPhase.RUNNING) for name, pod in self.pods.items() if name in self.jobs
        }
        return replace(self, pods=pods)

    def with_nodes(self, *names_of_nodes: str, **labels: str) -> "World":
        made = {name: Node(name, labels or {"pslgs.dev/edge": "true"}, ready=True) for name in names_of_nodes}
        return replace(self, nodes={**self.nodes, **made})

    def without_node(self, name: str) -> "World":
        return replace(self, nodes={each: node for each, node in self.nodes.items() if each != name})

    def with_job_state(self, name: str, state: ChildJobState) -> "World":
        return replace(self, jobs={**self.jobs, name: replace(self.jobs[name], state=state)})

    def later(self, **duration: float) -> "World":
        return replace(self, now=self.now + timedelta(**duration))


def planned(
    world: World, job: TrainingJob, status: JobStatus, settings: Settings = DEFAULTS
) -> tuple[Action, ...]:
    snapshot = world.snapshot()
    return tuple(plan(PlanContext(job, status, snapshot, place_clients(job, snapshot), settings, world.now)))


def carried_out(world: World, job: TrainingJob, status: JobStatus, settings: Settings = DEFAULTS) -> World:
    """Plan and carry out, over and over, until nothing is left to do."""
    for _ in range(5):
        actions = planned(replace(world, settings=settings), job, status, settings)
        if not actions:
            return world
        world = replace(world, settings=settings).after(actions).settled()
    raise AssertionError(f"there is always something to do: {actions}")
