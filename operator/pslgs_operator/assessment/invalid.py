"""The status of a job whose spec is not sound."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from pslgs.spec.errors import Violation
from pslgs_operator.status.conditions import ConditionType, Finding, Truth, with_findings
from pslgs_operator.status.model import JobStatus

_REASON = "InvalidSpec"


def invalid_status(
    old: JobStatus, generation: int, violations: Sequence[Violation], now: datetime
) -> JobStatus:
    """Say all that is wrong; what runs already is left alone and not judged."""
    if old.finished:
        return replace(old, observed_generation=generation)
    problem = "; ".join(map(str, violations))
    unknown = Truth.FALSE if old.start_time is None else Truth.UNKNOWN
    findings = {
        ConditionType.ACCEPTED: Finding(Truth.FALSE, _REASON, problem),
        ConditionType.READY: Finding(unknown, _REASON, "nothing is done about the job until spec is mended"),
        ConditionType.DEGRADED: Finding(unknown, _REASON),
        ConditionType.COMPLETE: Finding(Truth.FALSE, _REASON),
        ConditionType.FAILED: Finding(Truth.FALSE, _REASON),
        ConditionType.SUSPENDED: Finding(unknown, _REASON),
    }
    conditions = with_findings(old.conditions, findings, generation, now.replace(microsecond=0))
    return replace(old, observed_generation=generation, conditions=conditions)
