"""Compute a job's status from what was observed."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from pslgs.spec.errors import Violation
from pslgs_operator.assessment.completion import Completion, completion
from pslgs_operator.assessment.degraded import degraded
from pslgs_operator.assessment.membership import Membership, counted, final_count, find_membership
from pslgs_operator.assessment.progress import saved_checkpoint, training_progress
from pslgs_operator.assessment.ready import ready
from pslgs_operator.assessment.view import View, holding, is_finishing, parting_words, view_of
from pslgs_operator.endpoint import server_endpoint
from pslgs_operator.names import model_path
from pslgs_operator.placement import Placements
from pslgs_operator.settings import Settings
from pslgs_operator.snapshot import ChildPod, PodPhase, Snapshot
from pslgs_operator.status.conditions import ConditionStatus, ConditionType, ConditionUpdate, with_updates
from pslgs_operator.status.types import Clients, JobStatus, ModelPlace, SavedCheckpoint, Server
from pslgs_operator.text import listing
from pslgs_operator.training_job import TrainingJob


def compute_status(
    job: TrainingJob, snapshot: Snapshot, placements: Placements, settings: Settings, now: datetime
) -> JobStatus:
    """Compute the status of a job.

    The same observations give the same status, also with that status as the old one; a job that has ended
    stays as it ended.
    """
    old = job.status
    if old.finished:
        return replace(old, observed_generation=job.generation)
    view = view_of(job, snapshot, placements, settings, now)
    end = completion(view)
    return _at_the_end(view, end) if end else _under_way(view)


def _under_way(view: View) -> JobStatus:
    job, old = view.job, view.job.status
    members = find_membership(view)
    report = parting_words(view) if view.stopped else view.report
    status = replace(
        old,
        observed_generation=job.generation,
        start_time=None if view.stopped else view.start_time,
        training_start_time=view.training_start_time,
        clients=_taking_part(view, members),
        training=training_progress(old.training, report, job.spec.epochs),
        server=_whereabouts(view, old),
        checkpoint=saved_checkpoint(old.checkpoint, report),
    )
    return _concluded(view, status, _findings_under_way(view, members, status.checkpoint))


def _taking_part(view: View, members: Membership) -> Clients:
    if view.stopped:
        return Clients(len(view.placements.clients))
    old = view.job.status.clients
    return old if is_finishing(view) else counted(members, old)


def _at_the_end(view: View, end: Completion) -> JobStatus:
    job, old, report = view.job, view.job.status, end.report or view.report
    model = ModelPlace(job.claim_name, model_path(job.name)) if job.claim_name else None
    status = replace(
        old,
        observed_generation=job.generation,
        start_time=view.start_time,
        training_start_time=view.training_start_time or (end.time if report and report.step else None),
        completion_time=end.time,
        clients=final_count(_last_known(view), end.report, len(view.placements.clients)),
        training=training_progress(old.training, report, job.spec.epochs),
        server=_whereabouts(view, old),
        checkpoint=saved_checkpoint(old.checkpoint, report),
        model=model if end.kind is ConditionType.COMPLETE else None,
    )
    status = replace(status, training=replace(status.training, eta=""))
    return _concluded(view, status, _findings_at_the_end(end))


def _last_known(view: View) -> Clients:
    """Count the clients as they were when somebody knew them last."""
    old = view.job.status.clients
    return counted(find_membership(view), old) if view.report else old


def _concluded(view: View, status: JobStatus, findings: dict[ConditionType, ConditionUpdate]) -> JobStatus:
    found = {ConditionType.ACCEPTED: _accepted(view), **findings}
    old = view.job.status.conditions
    return replace(status, conditions=with_updates(old, found, view.job.generation, view.now))


def _whereabouts(view: View, old: JobStatus) -> Server:
    """Return where the server is; one that started again after the first step counts as restarted."""
    address, pod = str(server_endpoint(view.job, view.snapshot) or ""), view.server_pod
    if view.stopped:
        return Server(address=address, restarts=old.server.restarts)
    if pod is None or _is_earlier(pod, old.server.pod, view):
        return replace(old.server, address=address)
    anew = old.training_start_time is not None and old.server.pod not in {"", pod.name}
    restarts = max(old.server.restarts + anew, len(view.server_pods) - 1)
    return Server(pod.name, pod.node or "", address, restarts)


def _is_earlier(pod: ChildPod, known: str, view: View) -> bool:
    """Return whether a pod failed before the one that is known last, which was deleted meanwhile."""
    gone = known and known not in {each.name for each in view.server_pods}
    return bool(gone) and pod.phase is PodPhase.FAILED


def _findings_under_way(
    view: View, members: Membership, checkpoint: SavedCheckpoint | None
) -> dict[ConditionType, ConditionUpdate]:
    suspend = view.job.spec.suspend
    return {
        ConditionType.READY: ready(view, members),
        ConditionType.DEGRADED: ConditionUpdate(ConditionStatus.FALSE, "Suspended", "spec.suspend is true")
        if suspend
        else degraded(view, members),
        ConditionType.COMPLETE: _UNFINISHED,
        ConditionType.FAILED: _UNFINISHED,
        ConditionType.SUSPENDED: _suspended(view, checkpoint),
        ConditionType.RECONCILING: _reconciling(view),
        ConditionType.STALLED: ConditionUpdate(ConditionStatus.FALSE, "Progressing", "the job can go on"),
    }


_UNFINISHED = ConditionUpdate(ConditionStatus.FALSE, "NotFinished", "the training has not ended")


def _reconciling(view: View) -> ConditionUpdate:
    """Return the condition Reconciling, for whose end kstatus waits."""
    if view.job.spec.suspend:
        return ConditionUpdate(ConditionStatus.FALSE, "Suspended", "spec.suspend is true")
    return ConditionUpdate(ConditionStatus.TRUE, "NotFinished", "the training has not ended")


def _findings_at_the_end(end: Completion) -> dict[ConditionType, ConditionUpdate]:
    """Give every condition; a complete job is Ready, as the job that was asked for is there."""
    is_complete = end.kind is ConditionType.COMPLETE
    other = ConditionType.FAILED if is_complete else ConditionType.COMPLETE
    over = ConditionUpdate(
        ConditionStatus.FALSE, end.kind.value, f"the job has ended; see the condition {end.kind.value}"
    )
    ended = (ConditionType.DEGRADED, ConditionType.SUSPENDED, ConditionType.RECONCILING, other)
    failed = ConditionUpdate(ConditionStatus.TRUE, end.reason, end.message)
    ready = ConditionUpdate(ConditionStatus.TRUE, end.kind.value, end.message)
    return {
        ConditionType.READY: ready if is_complete else over,
        end.kind: ConditionUpdate(ConditionStatus.TRUE, end.reason, end.message),
        ConditionType.STALLED: over if is_complete else failed,
        **dict.fromkeys(ended, over),
    }


def _accepted(view: View) -> ConditionUpdate:
    claim = view.job.claim_name
    message = (
        f"checkpoints and {model_path(view.job.name)} are kept in the volume claim {claim}"
        if claim
        else "no spec.checkpoint.storage: checkpoints and the model end with the server's pod"
    )
    if unknown := view.job.known_fields.unknown_paths:
        message += (
            f"; this version of the operator does not know and ignores {listing(unknown)} (only "
            "containers of a newer image can use such fields): update the operator"
        )
    return ConditionUpdate(ConditionStatus.TRUE, "Accepted", message)


def _suspended(view: View, checkpoint: SavedCheckpoint | None) -> ConditionUpdate:
    if not view.job.spec.suspend:
        return ConditionUpdate(ConditionStatus.FALSE, "NotSuspended", "spec.suspend is false")
    if left := holding(view):
        return ConditionUpdate(ConditionStatus.FALSE, "Suspending", f"still there: {listing(left)}")
    again = f" with the checkpoint of step {checkpoint.step}" if checkpoint else ""
    return ConditionUpdate(ConditionStatus.TRUE, "Suspended", f"set spec.suspend to false to go on{again}")


_REASON = "InvalidSpec"


def invalid_status(
    old: JobStatus, generation: int, violations: Sequence[Violation], now: datetime
) -> JobStatus:
    """Return the status of a job whose spec is invalid; the condition Accepted lists all violations."""
    if old.finished:
        return replace(old, observed_generation=generation)
    problem = "; ".join(map(str, violations))
    invalid = ConditionUpdate(ConditionStatus.FALSE, _REASON, "the operator waits until spec is corrected")
    # What runs already is left alone, and nothing is known about it.
    unknown = replace(invalid, status=ConditionStatus.UNKNOWN) if old.start_time else invalid
    findings = {
        ConditionType.ACCEPTED: replace(invalid, message=problem),
        ConditionType.READY: unknown,
        ConditionType.DEGRADED: unknown,
        ConditionType.COMPLETE: invalid,
        ConditionType.FAILED: invalid,
        ConditionType.SUSPENDED: unknown,
        ConditionType.RECONCILING: invalid,
        ConditionType.STALLED: ConditionUpdate(ConditionStatus.TRUE, _REASON, problem),
    }
    conditions = with_updates(old.conditions, findings, generation, now.replace(microsecond=0))
    return replace(old, observed_generation=generation, conditions=conditions)
