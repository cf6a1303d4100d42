"""How long silence is no trouble; all that depends on time alone."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from pslgs_operator.observed import ChildJob, ChildPod, JobState, Observed, PodPhase

FIRST_ANSWER: Final = timedelta(minutes=2)
"""A server imports torch and reads its manifest before it answers."""
FIRST_POD: Final = timedelta(seconds=60)
"""The Job controller makes some tens of pods a second, and says in events only why it makes none."""
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


def _moments(observed: Observed) -> Iterator[datetime]:
    with_pods = {pod.job for pod in observed.pods}
    for child in _jobs(observed):
        if child.name not in with_pods and child.state is JobState.ACTIVE:
            yield child.created + FIRST_POD
    for pod in observed.pods:
        if pod.phase is PodPhase.PENDING:
            yield pod.created + (CONTAINERS if pod.node else VOLUMES)


def _jobs(observed: Observed) -> Iterator[ChildJob]:
    if observed.server:
        yield observed.server
    yield from observed.clients.values()
