"""Statuses of jobs, as far as plans depend on them."""

from datetime import datetime

from manifests.jobs import NOW
from pslgs_operator.status.types import Condition, ConditionStatus, ConditionType, JobStatus


def in_training(began: datetime = NOW) -> JobStatus:
    return JobStatus(start_time=began, training_start_time=began)


def complete(ended: datetime = NOW) -> JobStatus:
    return _ended(ConditionType.COMPLETE, ended)


def failed(ended: datetime = NOW) -> JobStatus:
    return _ended(ConditionType.FAILED, ended)


def _ended(kind: ConditionType, ended: datetime) -> JobStatus:
    condition = Condition(kind, ConditionStatus.TRUE, "Because", "", 1, ended)
    return JobStatus(conditions={kind: condition}, training_start_time=NOW, completion_time=ended)
