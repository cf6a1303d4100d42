"""What the operator writes into the status of a Workload, as Kueue expects of whoever runs the pods."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from pslgs_operator.fields import moment, timestamp
from pslgs_operator.text import cut
from pslgs_operator.workload import Workload

_LONGEST_MESSAGE: Final = 1024
_AGAIN_AT_ONCE: Final = frozenset({"Preempted", "NodeFailures"})
"""Reasons of evictions after which the job goes back to its queue at once; others wait for something."""

Patch = dict[str, Any]


def finished(workload: Workload, reason: str, message: str, now: datetime) -> Patch:
    """Return the patch by which a Workload gives its quota back for good."""
    return _patch(workload, now, _condition("Finished", reason, message, holds=True))


def pods_ready(workload: Workload, now: datetime) -> Patch:
    """Return the patch that says that the pods have started; otherwise Kueue may evict them after a time."""
    return _patch(workload, now, _condition("PodsReady", "Started", "the training runs", holds=True))


def released(workload: Workload, now: datetime) -> Patch:
    """Return the patch by which an evicted Workload, whose pods have ended, gives its quota back."""
    evicted = workload.condition("Evicted")
    reason, message = str(evicted.get("reason", "")), str(evicted.get("message", ""))
    checks_are_ready = all(state == "Ready" for state in workload.checks.values())
    conditions = [
        _condition("Requeued", reason, message, holds=reason in _AGAIN_AT_ONCE),
        _condition("QuotaReserved", "Pending", message, holds=False),
        _condition(
            "Admitted",
            "NoReservation" if checks_are_ready else "NoReservationUnsatisfiedChecks",
            "the workload has no reservation",
            holds=False,
        ),
    ]
    if workload.pods_ready:
        conditions.append(_condition("PodsReady", "WaitForStart", "the pods have ended", holds=False))
    since = moment(workload.condition("Admitted"), "lastTransitionTime")
    seconds = int((now - since).total_seconds()) if workload.admitted and since else 0
    past = {"accumulatedPastExecutionTimeSeconds": workload.past_seconds + max(seconds, 0)}
    return _patch(workload, now, *conditions, others={"admission": None, **past})


def _condition(kind: str, reason: str, message: str, *, holds: bool) -> Patch:
    return {
        "type": kind,
        "status": "True" if holds else "False",
        "reason": reason or "Unknown",
        "message": cut(message, _LONGEST_MESSAGE),
    }


def _patch(
    workload: Workload, now: datetime, *conditions: Mapping[str, Any], others: Mapping[str, Any] | None = None
) -> Patch:
    """Return a merge patch for the state of the Workload that was read; a list is replaced as a whole."""
    merged = {each["type"]: each for each in workload.conditions}
    for each in conditions:
        before = merged.get(each["type"], {})
        same = before.get("status") == each["status"]
        time = before["lastTransitionTime"] if same else timestamp(now)
        merged[each["type"]] = {
            **each,
            "observedGeneration": workload.generation,
            "lastTransitionTime": time,
        }
    return {
        "metadata": {"uid": workload.uid, "resourceVersion": workload.version},
        "status": {**(others or {}), "conditions": list(merged.values())},
    }
