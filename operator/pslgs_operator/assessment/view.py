"""A view of a job: what was observed, arranged for the computation of all conditions."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pslgs.spec import ServerPhase
from pslgs_operator.placement import Placements
from pslgs_operator.quota import hold
from pslgs_operator.settings import Settings
from pslgs_operator.snapshot import (
    ChildJob,
    ChildJobState,
    ChildPod,
    Node,
    PodPhase,
    Problem,
    ServerReport,
    Snapshot,
)
from pslgs_operator.training_job import TrainingJob

ENDED: Final = frozenset({PodPhase.SUCCEEDED, PodPhase.FAILED})
MOVING: Final = frozenset({ServerPhase.TRAINING, ServerPhase.EVALUATING})
"""Phases of a server that is at work."""
_POLLS_OF_A_LOST_NODE: Final = 2
"""A server that missed so many polls, on a node that is not ready, is silent."""


@dataclass(frozen=True, slots=True)
class View:
    """A job, and what is known of it at this moment.

    Attributes:
        now: Without fractions of a second.
        server: The server's Job; None also while an old one is on its way out.
        server_pods: Its pods, the newest first.
        client_pods: Client -> pods of its present Job, the newest first.
        report: What the server said lately; None if it is silent, or has not answered yet.
        nodes: By name.
        hold: Why the job has to wait for Kueue; None if its pods may run.
    """

    job: TrainingJob
    snapshot: Snapshot
    placements: Placements
    settings: Settings
    now: datetime
    server: ChildJob | None
    server_pods: tuple[ChildPod, ...]
    client_pods: Mapping[str, tuple[ChildPod, ...]]
    report: ServerReport | None
    nodes: Mapping[str, Node]
    hold: Problem | None = None

    @property
    def stopped(self) -> bool:
        """Whether no pod is to run: the job is suspended, or has to wait for Kueue."""
        return self.job.spec.suspend or self.hold is not None

    @property
    def server_pod(self) -> ChildPod | None:
        """The newest pod of the server."""
        return self.server_pods[0] if self.server_pods else None

    @property
    def start_time(self) -> datetime | None:
        """When pods were first asked for since the last resume; time in a queue does not count."""
        if self.server is None:
            return self.job.status.start_time
        asked = (self.server.started or self.server.created).replace(microsecond=0)
        return None if self.is_queued else self.job.status.start_time or asked

    @property
    def is_queued(self) -> bool:
        """Whether the server's Job is suspended, for example until Kueue admits it."""
        return self.server is not None and self.server.suspended

    @property
    def training_start_time(self) -> datetime | None:
        """When the first step was seen."""
        seen = self.now if self.report and self.report.step else None
        return self.job.status.training_start_time or seen

    @property
    def moving(self) -> bool:
        """Whether the server was training or evaluating just now."""
        return self.report is not None and self.report.phase in MOVING

    def is_ready(self, node: str | None) -> bool:
        """Return whether a node exists and is ready."""
        return node is not None and node in self.nodes and self.nodes[node].ready


def view_of(
    job: TrainingJob, snapshot: Snapshot, placements: Placements, settings: Settings, now: datetime
) -> View:
    """Arrange what was observed."""
    server = snapshot.server if snapshot.server and not snapshot.server.deleting else None
    by_job: dict[str, list[ChildPod]] = defaultdict(list)
    for pod in snapshot.pods:
        by_job[pod.job].append(pod)
    server_pods = _of(server, by_job[server.name]) if server else ()
    nodes = {node.name: node for node in snapshot.nodes}
    return View(
        job=job,
        snapshot=snapshot,
        placements=placements,
        settings=settings,
        now=now.replace(microsecond=0),
        server=server,
        server_pods=server_pods,
        client_pods={
            client: _of(child, by_job[child.name])
            for client, child in snapshot.clients.items()
            if child.name in by_job
        },
        report=_fresh_report(snapshot, server_pods, nodes, settings, now),
        nodes=nodes,
        hold=hold(job, snapshot, settings),
    )


def holding(view: View) -> tuple[str, ...]:
    """Name what still holds a node's resources, or will: pods that have not ended, Jobs not yet deleted."""
    pods = {pod.name for pod in view.snapshot.pods if not pod.has_ended}
    jobs = (view.snapshot.server, *view.snapshot.clients.values())
    active = {each.name for each in jobs if each and each.state is ChildJobState.ACTIVE and not each.deleting}
    return tuple(sorted(pods or active))


def parting_words(view: View) -> ServerReport | None:
    """Return what the server said of itself when it was stopped, also after its Job was deleted."""
    last_server_pod = (view.snapshot.last_server_pod,) if view.snapshot.last_server_pod else ()
    pods = (*last_server_pod, *(pod for pod in view.snapshot.pods if pod.client is None))
    newest = max(pods, key=lambda pod: pod.created, default=None)
    return newest.termination_message.report if newest and newest.termination_message else None


def is_finishing(view: View) -> bool:
    """Return whether the server has done its work, and its Job is about to complete."""
    return view.server_pod is not None and view.server_pod.phase is PodPhase.SUCCEEDED


def _of(child: ChildJob, pods: Iterable[ChildPod]) -> tuple[ChildPod, ...]:
    """Leave out pods of a deleted Job of the same name."""
    own = (pod for pod in pods if pod.created >= child.created)
    return tuple(sorted(own, key=lambda pod: (pod.created, pod.name), reverse=True))


def _fresh_report(
    snapshot: Snapshot,
    server_pods: tuple[ChildPod, ...],
    nodes: Mapping[str, Node],
    settings: Settings,
    now: datetime,
) -> ServerReport | None:
    server_reply = snapshot.server_reply
    if server_reply is None or not server_pods or server_pods[0].phase is not PodPhase.RUNNING:
        return None
    node = nodes.get(server_pods[0].node or "")
    is_away = node is not None and not node.ready
    # A server that was just not quick is given time; one whose node is away as well is not.
    bound = min(settings.silence_bound, _POLLS_OF_A_LOST_NODE * settings.poll_interval)
    age = now - server_reply.heard
    return server_reply.report if age < (bound if is_away else settings.silence_bound) else None
