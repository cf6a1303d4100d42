"""After what time something that has not happened is a problem."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

from pslgs_operator.snapshot import ChildJob, ChildJobState, ChildPod, Node, PodPhase, Snapshot

FIRST_ANSWER: Final = timedelta(minutes=2)
"""A server imports torch and reads its manifest before it answers."""
NEXT_POD: Final = timedelta(minutes=2)
"""The Job controller creates some tens of pods a second, and posts Events only about what it cannot."""
BACKLOG: Final = timedelta(minutes=10)
"""While it creates the pods of other jobs, those of this one may follow so much later."""
HANGING: Final = timedelta(seconds=5)
"""What starts at all has usually started by then; Events are read about what has not."""
CONTAINERS: Final = timedelta(minutes=10)
"""An image of some gigabytes has to be pulled over an edge node's line."""
SIDECARS: Final = timedelta(seconds=30)
"""The kubelet stops native sidecars once the main container has ended; others have to end by themselves."""
VOLUMES: Final = timedelta(seconds=30)
"""A new claim is bound to a volume after its pod was first observed."""


def volume_comes(pod: ChildPod, now: datetime) -> bool:
    """Return whether a pod has no node only because its volume is being made."""
    return (
        pod.unscheduled is not None
        and "unbound immediate" in pod.unscheduled.message
        and now - pod.created < VOLUMES
    )


def without_pod_since(
    snapshot: Snapshot, before: Mapping[str, datetime], now: datetime
) -> Mapping[str, datetime]:
    """Return the active child Jobs without a pod, and since when; ``before`` is the previous result.

    A Job's creation time is no measure: a Job that lost its pod to a drain was created long ago.
    """
    return {child.name: before.get(child.name, now) for child in _without_pod(snapshot)}


def last_creation(snapshot: Snapshot) -> datetime | None:
    """Return when the newest child Job or pod was created: how long ago anything moved.

    The Jobs of thousands of clients are created over minutes, and so are their pods.
    """
    jobs = (child.created for child in snapshot.jobs)
    return max((*jobs, *(pod.created for pod in snapshot.pods)), default=None)


def is_overdue(snapshot: Snapshot, child: ChildJob, moved: datetime | None, now: datetime) -> bool:
    """Return whether a pod of a Job without pods should be there; ``moved`` is the `last_creation`."""
    return child.name in snapshot.without_pod_since and now >= _pod_due(snapshot, child, moved)


def containers_due(pod: ChildPod, node: Node | None) -> datetime:
    """Return when the containers of a pod should run: they wait for the pod's node first."""
    origins = (pod.created, pod.scheduled, node.ready_since if node else None)
    return max(filter(None, origins)) + CONTAINERS


def keeps_running(pod: ChildPod, now: datetime) -> bool:
    """Return whether sidecars should have ended after the container of the pod's role."""
    return bool(pod.running_on) and pod.finished is not None and now - pod.finished >= SIDECARS


def pause(age: timedelta) -> timedelta:
    """Return how long to wait before Events are asked again about what has been hanging for so long."""
    return min(timedelta(seconds=60), max(timedelta(seconds=10), age / 6))


def hanging(snapshot: Snapshot, now: datetime) -> timedelta | None:
    """Return how long the youngest child that does not start has been there; None if all do."""
    return min((now - since for since in _hanging(snapshot, now) if now - since >= HANGING), default=None)


def _without_pod(snapshot: Snapshot) -> Iterator[ChildJob]:
    with_pods = {pod.job for pod in snapshot.pods}
    for child in snapshot.jobs:
        is_active = child.state is ChildJobState.ACTIVE and not child.deleting and not child.suspended
        if is_active and child.name not in with_pods:
            yield child


def _pod_due(snapshot: Snapshot, child: ChildJob, moved: datetime | None) -> datetime:
    since = max(filter(None, (snapshot.without_pod_since[child.name], moved)))
    elsewhere = min(snapshot.last_pod_creation or since, since + BACKLOG - NEXT_POD)
    return max(since, elsewhere) + NEXT_POD


def _hanging(snapshot: Snapshot, now: datetime) -> Iterator[datetime]:
    for child in _without_pod(snapshot):
        yield snapshot.without_pod_since.get(child.name, now)
    for pod in snapshot.pods:
        if pod.phase is PodPhase.PENDING and pod.node and not pod.deleting:
            yield pod.created


def times(snapshot: Snapshot, now: datetime) -> Iterator[datetime]:
    """Yield when something that has not happened becomes a problem."""
    moved, nodes = last_creation(snapshot), {node.name: node for node in snapshot.nodes}
    for child in _without_pod(snapshot):
        if child.name in snapshot.without_pod_since:
            yield _pod_due(snapshot, child, moved)
    yield from (since + HANGING for since in _hanging(snapshot, now))
    for pod in snapshot.pods:
        if pod.running_on and pod.finished is not None:
            yield pod.finished + SIDECARS
        if pod.phase is PodPhase.PENDING:
            yield containers_due(pod, nodes.get(pod.node)) if pod.node else pod.created + VOLUMES
