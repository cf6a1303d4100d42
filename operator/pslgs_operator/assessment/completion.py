"""Whether a job has ended, how and why."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pslgs.spec.exit_codes import ExitCode
from pslgs_operator.assessment import timeouts
from pslgs_operator.assessment.client_problems import failures
from pslgs_operator.assessment.pod_problems import failed_with_advice, still_running
from pslgs_operator.assessment.view import ENDED, View
from pslgs_operator.names import model_path
from pslgs_operator.snapshot import ChildJob, ChildJobState, ChildPod, ServerReport, TerminationMessage
from pslgs_operator.status.conditions import ConditionType

VERDICTS: Final = {
    ExitCode.BAD_INPUT: "BadInput",
    ExitCode.QUORUM_LOST: "QuorumLost",
    ExitCode.CLIENT_LOST: "ClientLost",
    ExitCode.DEADLINE_EXCEEDED: "DeadlineExceeded",
    ExitCode.DIVERGED: "Diverged",
    ExitCode.NON_FINITE: "NonFiniteValues",
    ExitCode.HOSTILE_CLIENT: "HostileClient",
}
"""Reasons of jobs that have failed, by the exit code of the server."""
_BACKOFF: Final = "BackoffLimitExceeded"


@dataclass(frozen=True, slots=True)
class Completion:
    """How a job ended.

    Attributes:
        report: What the server said of itself last of all, if it had the time to.
    """

    kind: ConditionType
    reason: str
    message: str
    time: datetime
    report: ServerReport | None = None


def completion(view: View) -> Completion | None:
    """Find out whether the job is over: its server's word comes first."""
    server = view.server
    if server is not None and server.state is not ChildJobState.ACTIVE:
        return _by_server(view, server)
    if view.server_pod is not None and (end := _by_container(view, view.server_pod)):
        return end
    if view.stopped:
        return None
    return _by_deadline(view) or _by_clients(view)


def _by_server(view: View, server: ChildJob) -> Completion | None:
    time, pod = (server.ended or view.now).replace(microsecond=0), view.server_pod
    if pod is not None and pod.phase not in ENDED and view.now - time < view.settings.silence_bound:
        return None  # pods end before their Job does, so what they say is under way
    words = pod.termination_message if pod else None
    report = words.report if words else None
    if server.state is ChildJobState.COMPLETE:
        return Completion(ConditionType.COMPLETE, _reason(report), _result(view, words), time, report)
    code = _exit_code(server, pod)
    if code in VERDICTS:
        said = words.message if words and words.message else server.message
        return Completion(ConditionType.FAILED, VERDICTS[ExitCode(code)], said, time, report)
    last = f"; the last time, {failed_with_advice(pod)}" if pod else ""
    limit = view.job.spec.backoff_limit
    said = f"the server failed more often than spec.backoffLimit ({limit}) allows{last}"
    if server.reason != _BACKOFF:
        said = f"{server.message or 'the Job of the server failed'}{last}"
    return Completion(ConditionType.FAILED, server.reason or "ServerFailed", said, time, report)


def _by_container(view: View, pod: ChildPod) -> Completion | None:
    """End a job whose server has ended in a pod that a sidecar keeps running, which its Job cannot see."""
    if pod.finished is None or pod.deleting or not timeouts.keeps_running(pod, view.now):
        return None
    words, remains = pod.termination_message, still_running(pod)
    report = words.report if words else None
    if pod.exit_code == ExitCode.FINISHED:
        said = f"{_result(view, words)}; {remains}"
        return Completion(ConditionType.COMPLETE, _reason(report), said, pod.finished, report)
    if pod.exit_code in VERDICTS:
        said = "; ".join(filter(None, (words.message if words else "", remains)))
        reason = VERDICTS[ExitCode(pod.exit_code)]
        return Completion(ConditionType.FAILED, reason, said, pod.finished, report)
    return None


def _reason(report: ServerReport | None) -> str:
    return "StoppedEarly" if report is not None and report.stopped_early else "TrainingFinished"


def _result(view: View, words: TerminationMessage | None) -> str:
    said = words.message if words and words.message else "the training is finished"
    claim = view.job.claim_name
    where = (
        f"the model is {model_path(view.job.name)} in the volume claim {claim}"
        if claim
        else "without spec.checkpoint.storage, the model ended with the server's pod"
    )
    return f"{said}; {where}"


def _exit_code(server: ChildJob, pod: ChildPod | None) -> int | None:
    """Return the server's last exit code; Kubernetes repeats it where the pod is gone."""
    if pod is not None and pod.exit_code is not None:
        return pod.exit_code
    found = re.search(r"failed with exit code (\d{1,3})\b", server.message)
    return int(found[1]) if found else None


def _by_deadline(view: View) -> Completion | None:
    started, seconds = view.start_time, view.job.spec.active_deadline_seconds
    if started is None or seconds is None or view.now - started < timedelta(seconds=seconds):
        return None
    said = f"the job ran for longer than spec.activeDeadlineSeconds ({seconds} seconds)"
    return Completion(ConditionType.FAILED, "DeadlineExceeded", said, view.now)


def _by_clients(view: View) -> Completion | None:
    """End a job at once that cannot have enough clients any more."""
    pod = view.server_pod
    if pod is not None and pod.exit_code in VERDICTS:
        return None  # the server's Job is about to say what it was, and clients only followed
    lost, expected = failures(view), len(view.placements.clients)
    needed = view.job.spec.fault_tolerance.quorum(expected)
    if not lost or expected - len(lost) >= needed:
        return None
    first = lost[0].placement
    said = (
        f"{len(lost)} of {expected} clients failed for good, and "
        f"spec.faultTolerance.minAvailableClients needs {needed}: "
        f"client {first.client} on node {first.node}: {lost[0].said}"
    )
    return Completion(ConditionType.FAILED, VERDICTS[ExitCode.BAD_INPUT], said, view.now)
