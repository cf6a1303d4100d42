"""What to do about a job, in order, and when to look at it again; nothing when all is as it should be."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final

from pslgs_operator import running
from pslgs_operator.actions import Action, Delete, DeleteJob
from pslgs_operator.address import dialled_address
from pslgs_operator.job import Job
from pslgs_operator.observed import ChildJob, JobState, Observed, PodPhase
from pslgs_operator.placement import Placements
from pslgs_operator.renewal import renewal_time
from pslgs_operator.settings import Settings
from pslgs_operator.status.model import ConditionType, JobStatus

LINGERING: Final = timedelta(seconds=60)
"""Clients that have not gone so long after the end of a training are not waited for any more."""

RESYNC: Final = timedelta(minutes=10)
"""A job is looked at after this time though nothing was heard of it."""


def plan(  # noqa: PLR0913, PLR0917 - all that is known of a job
    job: Job, status: JobStatus, observed: Observed, placements: Placements, settings: Settings, now: datetime
) -> tuple[Action, ...]:
    """Decide what has to be done so that the cluster becomes what the job asks for.

    ``status`` is the one just assessed.  What comes later depends on what comes before.
    """
    if status.finished:
        return tuple(_after_the_end(job, status, observed, now))
    if job.spec.suspend:
        return tuple(_deletions(observed.jobs))
    begun = status.training_start_time is not None
    address = dialled_address(job, observed)
    return tuple(running.actions(running.Scene(job, observed, placements, settings, now, begun, address)))


def next_look(
    job: Job, status: JobStatus, observed: Observed, settings: Settings, now: datetime
) -> timedelta:
    """Say how long nothing will have to be done, unless something is heard; at most `RESYNC`."""
    if status.finished:
        moments = list(_moments_after_the_end(job, status, observed))
    elif job.spec.suspend:
        moments = []
    else:
        moments = list(_moments_of_running(job, status, observed, settings, now))
    # What is past has been seen to just now; were it looked at again at once, an error would be a hot loop.
    return min([RESYNC, *(moment - now for moment in moments if moment > now)])


def _after_the_end(job: Job, status: JobStatus, observed: Observed, now: datetime) -> Iterator[Action]:
    expiry = _expiry(job, status)
    if expiry is not None and now >= expiry:
        yield DeleteJob()
    elif status.holds(ConditionType.FAILED) or now >= _end_of_lingering(status, now):
        yield from _deletions(each for each in observed.jobs if each.state is JobState.ACTIVE)


def _deletions(jobs: Iterable[ChildJob]) -> Iterator[Action]:
    return (Delete("Job", each.name) for each in jobs if not each.deleting)


def _expiry(job: Job, status: JobStatus) -> datetime | None:
    """Return when the time to live is over."""
    seconds = job.spec.ttl_seconds_after_finished
    if seconds is None or status.completion_time is None:
        return None
    return status.completion_time + timedelta(seconds=seconds)


def _end_of_lingering(status: JobStatus, now: datetime) -> datetime:
    return (status.completion_time or now) + LINGERING


def _moments_after_the_end(job: Job, status: JobStatus, observed: Observed) -> Iterator[datetime]:
    if expiry := _expiry(job, status):
        yield expiry
    if status.completion_time and any(each.state is JobState.ACTIVE for each in observed.jobs):
        yield status.completion_time + LINGERING


def _moments_of_running(
    job: Job, status: JobStatus, observed: Observed, settings: Settings, now: datetime
) -> Iterator[datetime]:
    if any(pod.client is None and pod.phase is PodPhase.RUNNING for pod in observed.pods):
        yield now + settings.poll_interval
    if observed.heartbeat is not None:
        yield observed.heartbeat.heard + settings.silence_bound
    if status.start_time is not None and job.spec.active_deadline_seconds is not None:
        yield status.start_time + timedelta(seconds=job.spec.active_deadline_seconds)
    for child in observed.jobs:
        if due := renewal_time(child, settings):
            yield due
