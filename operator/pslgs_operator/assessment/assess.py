"""From what was observed of a job to its status: one look, no memory but the last status."""

from dataclasses import replace
from datetime import datetime

from pslgs_operator.address import dialled_address
from pslgs_operator.assessment.diagnosis import degraded
from pslgs_operator.assessment.ending import Ending, ending
from pslgs_operator.assessment.figures import figures, saved
from pslgs_operator.assessment.members import Members, counted, final_count, find_members
from pslgs_operator.assessment.readiness import ready
from pslgs_operator.assessment.view import View, holding, is_finishing, look, parting_words
from pslgs_operator.job import Job
from pslgs_operator.names import model_path
from pslgs_operator.observed import Observed
from pslgs_operator.placement import Placements
from pslgs_operator.settings import Settings
from pslgs_operator.status.conditions import ConditionType, Finding, Truth, with_findings
from pslgs_operator.status.model import Clients, JobStatus, ModelPlace, SavedCheckpoint, Server
from pslgs_operator.wording import listing


def assess(
    job: Job, observed: Observed, placements: Placements, settings: Settings, now: datetime
) -> JobStatus:
    """Say how a job is.

    The same look gives the same status, also with that status as the old one; a job that is over stays as
    it ended.
    """
    old = job.status
    if old.finished:
        return replace(old, observed_generation=job.generation)
    view = look(job, observed, placements, settings, now)
    end = ending(view)
    return _at_the_end(view, end) if end else _under_way(view)


def _under_way(view: View) -> JobStatus:
    job, old = view.job, view.job.status
    members, suspend = find_members(view), job.spec.suspend
    report = parting_words(view) if suspend else view.report
    status = replace(
        old,
        observed_generation=job.generation,
        start_time=None if suspend else view.start_time,
        training_start_time=view.training_start_time,
        clients=_taking_part(view, members),
        training=figures(old.training, report, job.spec.epochs),
        server=_whereabouts(view, old),
        checkpoint=saved(old.checkpoint, report),
    )
    return _concluded(view, status, _findings_under_way(view, members, status.checkpoint))


def _taking_part(view: View, members: Members) -> Clients:
    if view.job.spec.suspend:
        return Clients(len(view.placements.clients))
    old = view.job.status.clients
    return old if is_finishing(view) else counted(members, old)


def _at_the_end(view: View, end: Ending) -> JobStatus:
    job, old, report = view.job, view.job.status, end.report or view.report
    model = ModelPlace(job.claim_name, model_path(job.name)) if job.claim_name else None
    status = replace(
        old,
        observed_generation=job.generation,
        start_time=view.start_time,
        training_start_time=view.training_start_time or (end.time if report and report.step else None),
        completion_time=end.time,
        clients=final_count(_last_known(view), end.report, len(view.placements.clients)),
        training=figures(old.training, report, job.spec.epochs),
        server=_whereabouts(view, old),
        checkpoint=saved(old.checkpoint, report),
        model=model if end.kind is ConditionType.COMPLETE else None,
    )
    status = replace(status, training=replace(status.training, eta=""))
    return _concluded(view, status, _findings_at_the_end(end))


def _last_known(view: View) -> Clients:
    """Count the clients as they were when somebody knew them last."""
    old = view.job.status.clients
    return counted(find_members(view), old) if view.report else old


def _concluded(view: View, status: JobStatus, findings: dict[ConditionType, Finding]) -> JobStatus:
    found = {ConditionType.ACCEPTED: _accepted(view), **findings}
    old = view.job.status.conditions
    return replace(status, conditions=with_findings(old, found, view.job.generation, view.now))


def _whereabouts(view: View, old: JobStatus) -> Server:
    """Tell where the server is; one that was begun anew after the first step was restarted."""
    address, pod = str(dialled_address(view.job, view.observed) or ""), view.server_pod
    if view.job.spec.suspend:
        return Server(address=address, restarts=old.server.restarts)
    if pod is None:
        return replace(old.server, address=address)
    anew = old.training_start_time is not None and old.server.pod not in {"", pod.name}
    restarts = max(old.server.restarts + anew, len(view.server_pods) - 1)
    return Server(pod.name, pod.node or "", address, restarts)


def _findings_under_way(
    view: View, members: Members, checkpoint: SavedCheckpoint | None
) -> dict[ConditionType, Finding]:
    suspend = view.job.spec.suspend
    return {
        ConditionType.READY: ready(view, members),
        ConditionType.DEGRADED: Finding(Truth.FALSE, "Suspended") if suspend else degraded(view, members),
        ConditionType.COMPLETE: Finding(Truth.FALSE, "NotFinished"),
        ConditionType.FAILED: Finding(Truth.FALSE, "NotFinished"),
        ConditionType.SUSPENDED: _suspended(view, checkpoint),
    }


def _findings_at_the_end(end: Ending) -> dict[ConditionType, Finding]:
    other = ConditionType.FAILED if end.kind is ConditionType.COMPLETE else ConditionType.COMPLETE
    return {
        ConditionType.READY: Finding(Truth.FALSE, end.kind.value),
        ConditionType.DEGRADED: Finding(Truth.FALSE, end.kind.value),
        end.kind: Finding(Truth.TRUE, end.reason, end.message),
        other: Finding(Truth.FALSE, end.kind.value),
        ConditionType.SUSPENDED: Finding(Truth.FALSE, end.kind.value),
    }


def _accepted(view: View) -> Finding:
    claim = view.job.claim_name
    message = (
        f"checkpoints and {model_path(view.job.name)} are kept in the volume claim {claim}"
        if claim
        else "no spec.checkpoint.storage: checkpoints and the model end with the server's pod"
    )
    return Finding(Truth.TRUE, "Accepted", message)


def _suspended(view: View, checkpoint: SavedCheckpoint | None) -> Finding:
    if not view.job.spec.suspend:
        return Finding(Truth.FALSE, "NotSuspended")
    if left := holding(view):
        return Finding(Truth.FALSE, "Suspending", f"still there: {listing(left)}")
    again = f" with the checkpoint of step {checkpoint.step}" if checkpoint else ""
    return Finding(Truth.TRUE, "Suspended", f"set spec.suspend to false to go on{again}")
