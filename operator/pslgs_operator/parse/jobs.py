"""Child Jobs."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from pslgs_operator.fields import condition, is_true, mapping, moment, text, whole
from pslgs_operator.names import (
    CLIENT,
    CLIENT_ANNOTATION,
    NODE_ANNOTATION,
    ROLE_LABEL,
    SHARE_ANNOTATION,
    SPEC_ANNOTATION,
    TEMPLATE_ANNOTATION,
)
from pslgs_operator.snapshot import ChildJob, ChildJobState
from pslgs_operator.text import plain

_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ENDS: Final = {"Complete": ChildJobState.COMPLETE, "Failed": ChildJobState.FAILED}
"""SuccessCriteriaMet and FailureTarget come before these, while pods still end: such a Job is active."""


def read_job(body: Mapping[str, Any]) -> ChildJob:
    """Read a batch/v1 Job of ours."""
    metadata, status = mapping(body, "metadata"), mapping(body, "status")
    annotations = mapping(metadata, "annotations")
    name = body["metadata"]["name"]
    is_client = mapping(metadata, "labels").get(ROLE_LABEL) == CLIENT
    state, end = _end(status)
    return ChildJob(
        name=name,
        uid=text(metadata, "uid"),
        client=text(annotations, CLIENT_ANNOTATION) or (name if is_client else None),
        node=text(annotations, NODE_ANNOTATION) or None,
        share=_count(text(annotations, SHARE_ANNOTATION)),
        spec_digest=text(annotations, SPEC_ANNOTATION),
        state=state,
        created=moment(metadata, "creationTimestamp") or _LONG_AGO,
        failures=whole(status, "failed") or 0,
        reason=plain(text(end, "reason")),
        message=plain(text(end, "message")),
        template_digest=text(annotations, TEMPLATE_ANNOTATION),
        deleting=bool(metadata.get("deletionTimestamp")),
        ended=moment(status, "completionTime") or moment(end, "lastTransitionTime"),
        started=moment(status, "startTime"),
        suspended=mapping(body, "spec").get("suspend") is True or is_true(condition(status, "Suspended")),
    )


def _end(status: Mapping[str, Any]) -> tuple[ChildJobState, Mapping[str, Any]]:
    for kind, state in _ENDS.items():
        found = condition(status, kind)
        if found is not None and is_true(found):
            return state, found
    return ChildJobState.ACTIVE, {}


def _count(written: str) -> int | None:
    return int(written) if written.isascii() and written.isdigit() and len(written) < 10 else None
