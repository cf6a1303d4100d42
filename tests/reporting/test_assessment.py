from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pslgs.reporting.assessment import Verdict, assess, tolerated_excesses
from pslgs.reporting.history import History
from pslgs.telemetry.records import EvaluationRecord, FinishRecord, StepRecord
from reporting.synthetic import run


def concerns(records):
    return [finding.text for finding in assess(History(tuple(records))).findings if finding.concern]


def changed(records, **changes):
    """Change the steps of a run; a change is a value, or computed from the step's number."""
    for record in records:
        if isinstance(record, StepRecord):
            values = {name: make(record.step) if callable(make) else make for name, make in changes.items()}
            yield replace(record, **values)
        else:
            yield record


SOUND = run(epochs=1, troubles=False)


def test_a_sound_run_is_healthy():
    assessment = assess(History(tuple(SOUND)))

    assert assessment.verdict is Verdict.HEALTHY
    assert concerns(SOUND) == []


def test_without_steps_there_is_nothing_to_judge():
    assert assess(History(())).verdict is Verdict.NOTHING


@pytest.mark.parametrize(
    ("changes", "concern"),
    [
        ({"deviation": lambda step: 0.5 if step > 140 else 0.2}, "within its 99 % bound in 140 of 157 steps"),
        ({"deviation": 0.3}, "Its mean is 0.300; the expected value for global sampling is 0.211."),
        ({"loss": float}, "did not fall; it went from 8 to 150"),
        ({"loss": lambda step: float("nan") if step >= 42 else 1.0}, "not a number from step 42 on"),
    ],
    ids=["beyond the bound", "mean too large", "loss rises", "loss diverges"],
)
def test_an_unsound_run_needs_a_look_and_says_why(changes, concern):
    records = list(changed(SOUND, **changes))

    assert assess(History(tuple(records))).verdict is Verdict.CONCERNS
    [text] = [text.replace("\N{NO-BREAK SPACE}", " ") for text in concerns(records)]
    assert concern in text


def test_troubles_that_cost_samples_or_checkpoints_are_concerns():
    assert [text.split("\N{NO-BREAK SPACE}")[0] for text in concerns(run())] == [
        "Epochs ended without 214",
        "1",
    ]


@pytest.mark.parametrize(
    ("outcome", "says", "concern"),
    [
        ("FINISHED", "The run finished", False),
        ("INTERRUPTED", "can be resumed", False),
        ("QUORUM_LOST", "The run failed", True),
    ],
    ids=["finished", "stopped", "failed"],
)
def test_the_outcome_comes_first(outcome, says, concern):
    first = assess(History((*SOUND[:-1], FinishRecord(SOUND[-1].time, 157, outcome, "why")))).findings[0]

    assert says in first.text
    assert first.concern is concern


def test_a_run_that_went_on_after_a_stop_has_not_ended():
    stopped = FinishRecord(SOUND[0].time, 0, "INTERRUPTED", "stopped")

    assert History((stopped, *SOUND[:-1])).finish is None
    assert "has not ended" in assess(History((stopped, *SOUND[:-1]))).findings[0].text


def test_a_share_just_short_of_all_is_not_rounded_up_to_all():
    records = list(changed(run(epochs=20, troubles=False), deviation=lambda step: 0.5 if step == 7 else 0.2))
    [text] = [finding.text for finding in assess(History(tuple(records))).findings if "bound" in finding.text]

    assert "3,139 of 3,140" in text
    assert "99.9" in text


@given(st.integers(1, 100_000))
def test_more_excesses_are_tolerated_than_expected_and_never_all(steps):
    assert tolerated_excesses(steps) > 0.01 * steps
    assert steps < 3 or tolerated_excesses(steps) < steps


@pytest.mark.parametrize(
    ("metric", "values", "words"),
    [
        ("AUROC", (0.75, 0.5), ["The last evaluation's AUROC is 50.0 %, the best was 75.0 % at step 1."]),
        ("Loss", (0.5, 0.25), ["The last evaluation's loss is 0.25."]),
        ("R2", (0.5, None), ["The last evaluation's R2 is –, the best was 0.5 at step 1."]),
        ("Accuracy", (0.5, 0.25), []),
    ],
    ids=["a share", "the loss", "undefined at last", "the accuracy, which is told in any case"],
)
def test_the_chosen_metric_is_told(metric, values, words):
    evaluations = [
        EvaluationRecord(0.0, step, step, 9, 1.0, None, metric=metric, metrics={metric: value})
        for step, value in enumerate(values, start=1)
    ]
    told = [
        finding.text.replace("\N{NO-BREAK SPACE}", " ")
        for finding in assess(History(tuple(evaluations))).findings
    ]
    assert [text for text in told if text.startswith("The last evaluation's")] == words
