"""A job whose spec is not sound."""

from dataclasses import replace
from datetime import timedelta

from manifests.jobs import NOW, body
from pslgs.spec.errors import Violation
from pslgs_operator.assessment.compute import invalid_status
from pslgs_operator.status.types import ConditionStatus, ConditionType, JobStatus, Phase
from pslgs_operator.training_job import TrainingJob
from status.sights import IN_TRAINING, assessed, job, said, sight

PROBLEMS = (Violation("spec.epochs", "is 0, must be at least 1"), Violation("spec.loss", "is Hinge, unknown"))


def test_all_violations_are_told() -> None:
    status = invalid_status(JobStatus(), 3, PROBLEMS, NOW)
    found = said(status, ConditionType.ACCEPTED)
    assert (status.phase, found.status, found.reason) == (Phase.INVALID, ConditionStatus.FALSE, "InvalidSpec")
    assert found.message == "spec.epochs: is 0, must be at least 1; spec.loss: is Hinge, unknown"
    assert set(status.conditions) == set(ConditionType)
    assert status.observed_generation == found.observed_generation == 3


def test_what_runs_already_is_not_judged() -> None:
    status = invalid_status(IN_TRAINING, 3, PROBLEMS, NOW)
    assert said(status, ConditionType.READY).status is ConditionStatus.UNKNOWN
    assert status.training == IN_TRAINING.training


def test_a_job_that_is_over_stays_as_it_ended() -> None:
    over = replace(IN_TRAINING, conditions=_complete())
    assert invalid_status(over, 9, PROBLEMS, NOW) == replace(over, observed_generation=9)


def test_a_spec_that_was_mended_is_accepted() -> None:
    bad = invalid_status(IN_TRAINING, 3, PROBLEMS, NOW)
    good = assessed(sight(), job(status=bad), NOW + timedelta(seconds=9))
    assert good.phase is Phase.RUNNING
    assert said(good, ConditionType.ACCEPTED).last_transition_time == NOW + timedelta(seconds=9)


def test_a_second_look_changes_nothing() -> None:
    once = invalid_status(JobStatus(), 3, PROBLEMS, NOW)
    assert invalid_status(once, 3, PROBLEMS, NOW + timedelta(hours=1)) == once


def test_fields_of_a_newer_definition_do_not_make_a_job_invalid() -> None:
    newer = body(optimizer={"new": 1}, brandNew=2)
    status = assessed(sight(), replace(TrainingJob.parse(newer), status=IN_TRAINING))
    found = said(status, ConditionType.ACCEPTED)
    assert (status.phase, found.status) == (Phase.RUNNING, ConditionStatus.TRUE)
    assert "does not know and ignores spec.optimizer.new and spec.brandNew" in found.message


def _complete() -> dict[ConditionType, object]:
    accepted = said(IN_TRAINING, ConditionType.ACCEPTED)
    return {ConditionType.COMPLETE: replace(accepted, type=ConditionType.COMPLETE)}
