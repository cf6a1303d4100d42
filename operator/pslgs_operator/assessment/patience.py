"""How long silence is no trouble; all that depends on time alone."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from pslgs_operator.observed import ChildPod, JobState, Observed, PodPhase

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


def soonest(observed: Observed, now: datetime) -> timedelta | None:
    """Say after what time silence becomes trouble next, though nothing will be heard; None if never."""
    left = (moment - now for moment in _moments(observed))
    return min((each for each in left if each > timedelta(0)), default=None)


def pause(age: timedelta) -> timedelta:
    """Say how long to wait before Events are asked again about what has been hanging for so long."""
    return min(timedelta(seconds=60), max(timedelta(seconds=10), age / 6))


def hanging(observed: Observed, now: datetime) -> timedelta | None:
    """Say how long the youngest child that does not start has been there; None if all do."""
    return min((now - born for born in _hanging(observed) if now - born >= HANGING), default=None)


def _hanging(observed: Observed) -> Iterator[datetime]:
    with_pods = {pod.job for pod in observed.pods}
    for child in observed.jobs:
        if child.name not in with_pods and child.state is JobState.ACTIVE and not child.deleting:
            yield child.created
    for pod in observed.pods:
        if pod.phase is PodPhase.PENDING and pod.node and not pod.deleting:
            yield pod.created


def _moments(observed: Observed) -> Iterator[datetime]:
    with_pods = {pod.job for pod in observed.pods}
    for child in observed.jobs:
        if child.name not in with_pods and child.state is JobState.ACTIVE:
            yield child.created + FIRST_POD
    yield from (born + HANGING for born in _hanging(observed))
    for pod in observed.pods:
        if pod.phase is PodPhase.PENDING:
            yield pod.created + (CONTAINERS if pod.node else VOLUMES)
