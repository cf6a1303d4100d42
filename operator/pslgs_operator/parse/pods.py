"""Pods of child Jobs."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from pslgs_operator.fields import condition, is_true, mapping, mappings, moment, text
from pslgs_operator.names import CLIENT, CLIENT_ANNOTATION, ROLE_LABEL
from pslgs_operator.ownership import controller_uid
from pslgs_operator.parse.containers import Ended, main_end, running_on, start_of, waiting
from pslgs_operator.snapshot import ChildPod, PodPhase, Problem, TerminationMessage
from pslgs_operator.text import plain

_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)
_JOB_LABELS: Final = ("batch.kubernetes.io/job-name", "job-name")


def read_pod(body: Mapping[str, Any]) -> ChildPod:
    """Read a pod of a child Job of ours."""
    metadata, status = mapping(body, "metadata"), mapping(body, "status")
    name = body["metadata"]["name"]
    end = _end(status)
    return ChildPod(
        name=name,
        job=_job(metadata),
        client=_client(metadata, name),
        created=moment(metadata, "creationTimestamp") or _LONG_AGO,
        phase=_phase(status, end),
        node=text(mapping(body, "spec"), "nodeName") or None,
        ip=text(status, "podIP") or None,
        ready=is_true(condition(status, "Ready")),
        scheduled=_scheduled(status),
        started=start_of(status),
        waiting=waiting(status),
        unscheduled=_unscheduled(status),
        finished=end.time if end else None,
        running_on=running_on(status),
        exit_code=end.exit_code if end else None,
        end_reason=end.reason if end else "",
        termination_message=end.termination_message if end else None,
        disruption=_disruption(status),
        deleting=bool(metadata.get("deletionTimestamp")),
        uid=text(metadata, "uid"),
        owner=controller_uid(body) or "",
    )


def _job(metadata: Mapping[str, Any]) -> str:
    labels = mapping(metadata, "labels")
    owners = (text(owner, "name") for owner in mappings(metadata, "ownerReferences"))
    return next(filter(None, (*(text(labels, label) for label in _JOB_LABELS), *owners)), "")


def _client(metadata: Mapping[str, Any], name: str) -> str | None:
    """Name the client; one whose annotation was taken away is no server."""
    is_client = mapping(metadata, "labels").get(ROLE_LABEL) == CLIENT
    return text(mapping(metadata, "annotations"), CLIENT_ANNOTATION) or (name if is_client else None)


def _phase(status: Mapping[str, Any], end: Ended | None) -> PodPhase:
    """Return the phase; a sidecar that goes on keeps a pod Running whose work is done."""
    phase = text(status, "phase") or PodPhase.PENDING
    if phase == PodPhase.RUNNING and end is not None:
        return PodPhase.SUCCEEDED if end.exit_code == 0 else PodPhase.FAILED
    return PodPhase(phase) if phase in list(PodPhase) else PodPhase.UNKNOWN


def _scheduled(status: Mapping[str, Any]) -> datetime | None:
    found = condition(status, "PodScheduled")
    return moment(found, "lastTransitionTime") if is_true(found) else None


def _unscheduled(status: Mapping[str, Any]) -> Problem | None:
    scheduled = condition(status, "PodScheduled")
    if scheduled is None or scheduled.get("status") != "False":
        return None
    return Problem(
        plain(text(scheduled, "reason")) or "Unschedulable", plain(text(scheduled, "message"), 1000)
    )


def _end(status: Mapping[str, Any]) -> Ended | None:
    """Return how it ended: its container, or, before that could run, the pod as a whole."""
    end = main_end(status)
    if text(status, "phase") != PodPhase.FAILED or not text(status, "reason"):
        return end
    words = (
        end.termination_message
        if end and end.termination_message.message
        else TerminationMessage(None, plain(text(status, "message")))
    )
    return Ended(end.exit_code if end else None, plain(text(status, "reason")), words)


def _disruption(status: Mapping[str, Any]) -> str:
    found = condition(status, "DisruptionTarget")
    return plain(text(found, "reason")) or "Disrupted" if is_true(found) else ""
