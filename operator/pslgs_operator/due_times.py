"""The times at which something has to be done about a job although nothing changes in the cluster."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from pslgs_operator.assessment import timeouts
from pslgs_operator.certificates import renewal_times
from pslgs_operator.job_state import TransientState
from pslgs_operator.planner import LINGERING, expiry
from pslgs_operator.pod_warnings import next_reading
from pslgs_operator.settings import Settings
from pslgs_operator.snapshot import ChildJobState, PodPhase, Snapshot
from pslgs_operator.status.types import JobStatus
from pslgs_operator.training_job import TrainingJob


def due_times(  # noqa: PLR0913, PLR0917 - all that is known of a job
    job: TrainingJob,
    status: JobStatus,
    snapshot: Snapshot,
    state: TransientState,
    settings: Settings,
    now: datetime,
) -> Iterator[datetime]:
    """Yield all of them; those that are past have just been seen to.

    Args:
        job: The job.
        status: Its status, just computed.
        snapshot: What was observed of it.
        state: What the operator remembers of it.
        settings: The operator's settings.
        now: The time of this reconcile.
    """
    yield from lifecycle_times(job, status, snapshot, state.polled or now, settings)
    yield from timeouts.times(snapshot, now)
    yield from state.retry_times(now)
    yield from next_reading(snapshot, state, now)


def lifecycle_times(
    job: TrainingJob, status: JobStatus, snapshot: Snapshot, polled: datetime, settings: Settings
) -> Iterator[datetime]:
    """Yield the deadlines of a job, and when its server is polled next; ``polled`` is the last time."""
    if status.finished:
        yield from _after_the_end(job, status, snapshot)
    elif not job.spec.suspend:
        yield from _while_running(job, status, snapshot, polled, settings)


def _after_the_end(job: TrainingJob, status: JobStatus, snapshot: Snapshot) -> Iterator[datetime]:
    if (time := expiry(job, status)) is not None:
        yield time
    holds_quota = snapshot.workload is not None and not snapshot.workload.finished
    lingering = any(each.state is ChildJobState.ACTIVE for each in snapshot.jobs)
    if status.completion_time and (lingering or holds_quota):
        yield status.completion_time + LINGERING


def _while_running(
    job: TrainingJob, status: JobStatus, snapshot: Snapshot, polled: datetime, settings: Settings
) -> Iterator[datetime]:
    if any(pod.client is None and pod.phase is PodPhase.RUNNING for pod in snapshot.pods):
        yield polled + settings.poll_interval
    if snapshot.server_reply is not None:
        yield snapshot.server_reply.heard + settings.silence_bound
    if status.start_time is not None and job.spec.active_deadline_seconds is not None:
        yield status.start_time + timedelta(seconds=job.spec.active_deadline_seconds)
    if any(each.state is ChildJobState.ACTIVE for each in snapshot.jobs):
        yield from renewal_times(snapshot)
