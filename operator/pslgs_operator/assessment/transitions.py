"""Events that follow from the difference between two statuses."""

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from pslgs_operator.quota import EVICTED, QUEUEING
from pslgs_operator.status.types import Condition, ConditionStatus, ConditionType, JobStatus
from pslgs_operator.text import cut, listing

_LONGEST_MESSAGE: Final = 1000
"""Bytes; the API server takes a few more in an Event."""


class EventSpec(NamedTuple):
    """Something worth telling, once."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


def transitions(old: JobStatus, new: JobStatus, job_name: str) -> tuple[EventSpec, ...]:
    """Yield the Events for the changes between two statuses, in order."""
    transitions = (
        *_acceptance(old, new),
        *_suspension(old, new),
        *_queueing(old, new),
        *_starts(old, new, job_name),
        *_comings_and_goings(old, new),
        *_degradation(old, new),
        *_end(old, new, job_name),
    )
    return tuple(each._replace(message=cut(each.message, _LONGEST_MESSAGE)) for each in transitions)


def _acceptance(old: JobStatus, new: JobStatus) -> Iterator[EventSpec]:
    if (now := _turned(old, new, ConditionType.ACCEPTED)) is None:
        return
    if now.status is ConditionStatus.TRUE:
        yield EventSpec("Normal", "Accepted", now.message)
    else:
        yield EventSpec("Warning", now.reason, now.message)


def _suspension(old: JobStatus, new: JobStatus) -> Iterator[EventSpec]:
    now = _turned(old, new, ConditionType.SUSPENDED)
    if now is not None and now.status is ConditionStatus.TRUE:
        yield EventSpec("Normal", "Suspended", now.message)
    elif old.holds(ConditionType.SUSPENDED) and now is not None and not new.finished:
        yield EventSpec("Normal", "Resumed", "spec.suspend is false again")


def _queueing(old: JobStatus, new: JobStatus) -> Iterator[EventSpec]:
    before, now = (each.conditions.get(ConditionType.READY) for each in (old, new))
    was = before.reason if before is not None else ""
    if now is None or now.reason == was or new.finished:
        return
    if now.reason in QUEUEING:
        yield EventSpec("Warning" if now.reason == EVICTED else "Normal", now.reason, now.message)
    elif was in QUEUEING and not _is_suspended(new):
        yield EventSpec("Normal", "Admitted", "Kueue has admitted the job, or it is in no queue any more")


def _starts(old: JobStatus, new: JobStatus, job_name: str) -> Iterator[EventSpec]:
    if old.start_time is None and new.start_time is not None:
        yield EventSpec(
            "Normal", "Started", f"{job_name} starts, with {new.clients.expected} clients to come"
        )
    if new.server.restarts > old.server.restarts:
        again = f"; it goes on from step {new.checkpoint.step}" if new.checkpoint else ""
        yield EventSpec(
            "Warning", "ServerRestarted", f"the server begins anew in pod {new.server.pod}{again}"
        )
    if old.training_start_time is None and new.training_start_time is not None:
        yield EventSpec("Normal", "TrainingStarted", "the first step is done")


def _comings_and_goings(old: JobStatus, new: JobStatus) -> Iterator[EventSpec]:
    """Name who went and who came back; where there are more than the status names, only how many."""
    if new.finished or _is_suspended(new):
        return
    before, after = old.clients, new.clients
    gone = sorted(set(after.lost) - set(before.lost))
    back = sorted(set(before.lost) - set(after.lost))
    if after.lost_count > len(after.lost) or before.lost_count > len(before.lost):
        gone = gone if after.lost_count > before.lost_count else []
        back = back if after.lost_count < before.lost_count else []
    if gone:
        missing = f"{after.live} of {after.expected} clients are left"
        yield EventSpec("Warning", "ClientLost", f"lost {listing(gone, shown=20)}; {missing}")
    if back:
        yield EventSpec("Normal", "ClientReturned", f"{listing(back, shown=20)} returned")


def _degradation(old: JobStatus, new: JobStatus) -> Iterator[EventSpec]:
    before, now = (each.conditions.get(ConditionType.DEGRADED) for each in (old, new))
    was = before is not None and before.status is ConditionStatus.TRUE
    if now is not None and now.status is ConditionStatus.TRUE:
        if not was or before is None or before.reason != now.reason:
            yield EventSpec("Warning", "Degraded", f"{now.reason}: {now.message}")
    elif was and before is not None and not new.finished and not _is_suspended(new):
        yield EventSpec("Normal", "Recovered", f"no longer {before.reason}")


def _end(old: JobStatus, new: JobStatus, job_name: str) -> Iterator[EventSpec]:
    for kind, type_ in ((ConditionType.COMPLETE, "Normal"), (ConditionType.FAILED, "Warning")):
        now = _turned(old, new, kind)
        if now is not None and now.status is ConditionStatus.TRUE:
            said = f"{now.reason}: {now.message}" if kind is ConditionType.FAILED else now.message
            yield EventSpec("Normal" if type_ == "Normal" else "Warning", kind.value, said or job_name)


def _turned(old: JobStatus, new: JobStatus, kind: ConditionType) -> Condition | None:
    """Return the new condition if it is another than before."""
    before, now = old.conditions.get(kind), new.conditions.get(kind)
    return None if now is None or (before is not None and before.status is now.status) else now


def _is_suspended(status: JobStatus) -> bool:
    found = status.conditions.get(ConditionType.SUSPENDED)
    return found is not None and (found.status is ConditionStatus.TRUE or found.reason == "Suspending")
