"""Events about a job."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pslgs_operator import names
from pslgs_operator.gvk import TRAINING_JOBS
from pslgs_operator.text import cut

_LONGEST_MESSAGE: Final = 1024
"""The API server's limit, in bytes."""


def event(  # noqa: PLR0913 - what an Event has
    *, job: str, namespace: str, uid: str, instance: str, kind: str, reason: str, message: str, at: datetime
) -> dict[str, Any]:
    """Make the Event that something happened to a job.

    Args:
        job: The job's name.
        namespace: Its namespace.
        uid: Its uid.
        instance: Name of the operator's pod.
        kind: Normal or Warning.
        reason: What happened, in one word.
        message: What happened, for people.
        at: When; two events of one job must not have the same time, which is part of their names.
    """
    seconds = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        # Clients sort events by seconds; the API server lists them by name, which keeps the order in one.
        "metadata": {"name": f"{job}.{_microseconds(at):016x}", "namespace": namespace},
        "involvedObject": {
            "apiVersion": f"{names.GROUP}/{names.VERSION}",
            "kind": TRAINING_JOBS.kind,
            "name": job,
            "namespace": namespace,
            "uid": uid,
        },
        "type": kind,
        "reason": reason,
        "action": reason,
        "message": cut(message, _LONGEST_MESSAGE),
        "firstTimestamp": seconds,
        "lastTimestamp": seconds,
        "eventTime": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "count": 1,
        "reportingComponent": names.FIELD_MANAGER,
        "reportingInstance": instance,
        "source": {"component": names.FIELD_MANAGER},
    }


def _microseconds(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
