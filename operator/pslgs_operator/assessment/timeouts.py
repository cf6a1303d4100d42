"""After what time something that has not happened is a problem."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from pslgs_operator.snapshot import ChildJobState, ChildPod, PodPhase, Snapshot

FIRST_ANSWER: Final = timedelta(minutes=2)
"""A server imports torch and reads its manifest before it answers."""
FIRST_POD: Final = timedelta(seconds=60)
"""The Job controller makes some tens of pods a second, and says in events only why it makes none."""
HANGING: Final = timedelta(seconds=5)
"""What comes at all is usually there by then; Events are asked about what is not."""
CONTAINERS: Final = timedelta(minutes=10)
"""An image of some gigabytes has to come over an edge node's line."""
VOLUMES: Final = timedelta(seconds=30)
"""A new claim is bound to a volume after its pod was first looked at."""


def volume_comes(pod: ChildPod, now: datetime) -> bool:
    """Tell whether a pod has no node only because its volume is being made."""
    return (
        pod.unscheduled is not None
        and "unbound immediate" in pod.unscheduled.message
        and now - pod.created < VOLUMES
    )


def soonest(snapshot: Snapshot, now: datetime) -> timedelta | None:
    """Say after what time silence becomes trouble next, though nothing will be heard; None if never."""
    left = (moment - now for moment in _moments(snapshot))
    return min((each for each in left if each > timedelta(0)), default=None)


def pause(age: timedelta) -> timedelta:
    """Say how long to wait before Events are asked again about what has been hanging for so long."""
    return min(timedelta(seconds=60), max(timedelta(seconds=10), age / 6))


def hanging(snapshot: Snapshot, now: datetime) -> timedelta | None:
    """Say how long the youngest child that does not start has been there; None if all do."""
    return min((now - born for born in _hanging(snapshot) if now - born >= HANGING), default=None)


def _hanging(snapshot: Snapshot) -> Iterator[datetime]:
    with_pods = {pod.job for pod in snapshot.pods}
    for child in snapshot.jobs:
        if child.name not in with_pods and child.state is ChildJobState.ACTIVE and not child.deleting:
            yield child.created
    for pod in snapshot.pods:
        if pod.phase is PodPhase.PENDING and pod.node and not pod.deleting:
            yield pod.created


def _moments(snapshot: Snapshot) -> Iterator[datetime]:
    with_pods = {pod.job for pod in snapshot.pods}
    for child in snapshot.jobs:
        if child.name not in with_pods and child.state is ChildJobState.ACTIVE:
            yield child.created + FIRST_POD
    yield from (born + HANGING for born in _hanging(snapshot))
    for pod in snapshot.pods:
        if pod.phase is PodPhase.PENDING:
            yield pod.created + (CONTAINERS if pod.node else VOLUMES)
