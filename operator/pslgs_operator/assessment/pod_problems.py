"""Problems of pods that do not run, or failed."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from pslgs.spec.exit_codes import ExitCode
from pslgs_operator.assessment import hints, timeouts
from pslgs_operator.assessment.view import ENDED
from pslgs_operator.names import CLIENT, SERVER
from pslgs_operator.snapshot import ChildPod, Node, PodPhase, Problem
from pslgs_operator.text import listing

_OUT_OF_MEMORY: Final = "OOMKilled"
_POWER_CUT: Final = frozenset({"Unknown", "ContainerStatusUnknown"})
"""Reason that a kubelet reports if it finds no trace of a container after it restarted."""
_NOT_OF_THE_POD: Final = frozenset(ExitCode) - {ExitCode.INTERNAL_ERROR}
"""Exit codes that are no fault of the pod: its Job ends too and gives the reason, it was stopped, or the
server was away, whose problem is reported by itself."""


def pod_problem(pods: Sequence[ChildPod], nodes: Mapping[str, Node], now: datetime) -> Problem | None:
    """Find what keeps a child from its work: in its newest pod, or why the one before that failed.

    A failure is reported until the caller knows that the new pod is at work, so it doesn't come and go with
    each attempt.
    """
    if not pods:
        return None
    newest = pods[0]
    if timeouts.keeps_running(newest, now):
        return _sidecars(newest)
    if newest.phase in ENDED:
        return _failure_trouble(pods)
    return _placing(newest, now) or _waiting(newest, nodes, now) or _failure_trouble(pods)


def failed(pod: ChildPod) -> str:
    """Describe how a pod failed, in half a sentence: ``pod P on node N failed with exit code 1: …``."""
    where = f"{_named(pod)} {_how(pod)}"
    words = pod.termination_message.message if pod.termination_message else ""
    return f"{where}: {words}" if words else where


def still_running(pod: ChildPod) -> str:
    """Name the containers that keep a pod from ending, and what to do about them."""
    what, them = ("container", "runs") if len(pod.running_on) == 1 else ("containers", "run")
    return (
        f"{what} {listing(pod.running_on)} of pod {pod.name} still {them}; {hints.on_sidecar(role_of(pod))}"
    )


def failed_with_advice(pod: ChildPod) -> str:
    """Describe how a pod failed, and what to do where that is known."""
    known = hints.on_memory(role_of(pod)) if pod.end_reason == _OUT_OF_MEMORY else ""
    return _advised(failed(pod), known)


def role_of(pod: ChildPod) -> str:
    """Return the role of a pod."""
    return SERVER if pod.client is None else CLIENT


def _placing(pod: ChildPod, now: datetime) -> Problem | None:
    found = pod.unscheduled
    if found is None or found.reason == "SchedulingGated" or timeouts.volume_comes(pod, now):
        return None
    # What comes after is about pods that could be preempted, and changes with every reconcile.
    said = re.split(r"\.? (?:preemption:|no new claims)", found.message)[0].rstrip(".")
    return Problem(
        found.reason, _advised(f"no node for pod {pod.name}: {said}", hints.on_placing(said, role_of(pod)))
    )


def _waiting(pod: ChildPod, nodes: Mapping[str, Node], now: datetime) -> Problem | None:
    found = pod.waiting
    if found is not None:
        said = f"{_named(pod)} waits: {found.message or found.reason}"
        return Problem(found.reason, _advised(said, hints.on_waiting(found.reason, role_of(pod))))
    is_assigned = pod.phase is PodPhase.PENDING and pod.node
    if is_assigned and now >= timeouts.containers_due(pod, nodes.get(pod.node or "")):
        said = f"{_named(pod)} does not start; it pulls its image or waits for a volume"
        return Problem("ContainersNotStarted", _advised(said, f"see kubectl describe pod {pod.name}"))
    return None


def _failure_trouble(pods: Sequence[ChildPod]) -> Problem | None:
    """Describe the last failure, unless a later attempt succeeded or was ended by no fault of its own."""
    last = next((pod for pod in pods if pod.phase in ENDED), None)
    if (
        last is None
        or last.phase is PodPhase.SUCCEEDED
        or last.disruption
        or last.end_reason in _POWER_CUT
        or last.exit_code in _NOT_OF_THE_POD
    ):
        return None
    if last.end_reason == _OUT_OF_MEMORY:
        return Problem(_OUT_OF_MEMORY, failed_with_advice(last))
    rejected = last.exit_code is None and last.end_reason not in {"", "Error"}
    reason = last.end_reason if rejected else f"{role_of(last).capitalize()}Crashed"
    return Problem(reason, f"{failed(last)}; it is tried again")


def _sidecars(pod: ChildPod) -> Problem:
    """Describe a pod whose main container has ended, which its Job cannot see."""
    how = "has finished" if pod.phase is PodPhase.SUCCEEDED else _how(pod)
    return Problem(
        "SidecarRunning", f"{_named(pod)} {how}, but its Job does not notice: {still_running(pod)}"
    )


def _how(pod: ChildPod) -> str:
    if pod.end_reason == _OUT_OF_MEMORY:
        return f"ran out of memory ({_OUT_OF_MEMORY})"
    if pod.end_reason in _POWER_CUT:
        return "ended when its node did"
    if pod.exit_code is not None:
        return f"failed with exit code {pod.exit_code}"
    return "failed" if pod.end_reason in {"", "Error"} else f"failed ({pod.end_reason})"


def _named(pod: ChildPod) -> str:
    return f"pod {pod.name} on node {pod.node}" if pod.node else f"pod {pod.name}"


def _advised(said: str, what_to_do: str) -> str:
    return f"{said}; {what_to_do}" if what_to_do else said
