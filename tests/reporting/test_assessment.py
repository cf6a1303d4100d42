import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pslgs.reporting.assessment import Verdict, assess, tolerated_excesses
from pslgs.reporting.history import History
from pslgs.telemetry.evaluation_details import ClassEvaluation, EvaluationDetails
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
        ({"loss": float}, "did not fall; it went from 8 to 150."),
        ({"loss": lambda step: -100.0 + step}, "did not fall; it went from -92 to 50."),
        (
            {"loss": lambda step: 8.69e7 - step},
            "did not fall; it stayed at 8.69e+07. Change the learning rate",
        ),
        ({"loss": lambda step: float("nan") if step >= 42 else 1.0}, "not a number from step 42 on"),
    ],
    ids=[
        "beyond the bound",
        "mean too large",
        "loss rises",
        "negative loss rises",
        "same loss",
        "loss diverges",
    ],
)
def test_an_unsound_run_needs_a_look_and_says_why(changes, concern):
    records = list(changed(SOUND, **changes))

    assert assess(History(tuple(records))).verdict is Verdict.CONCERNS
    [text] = [text.replace("\N{NO-BREAK SPACE}", " ") for text in concerns(records)]
    assert concern in text


@pytest.mark.parametrize(
    "course", [lambda step: -1 - step / 1e4, lambda step: 1.0 + step / 1e4], ids=["falls", "rises"]
)
def test_a_loss_that_hardly_changes_is_no_concern_where_the_model_has_learned(course):
    assert concerns([*changed(SOUND[:-1], loss=course), scored(R2=0.5), SOUND[-1]]) == []


def scored(accuracy=None, *, confusion=(), **metrics):
    """Make the record of an evaluation of 400 samples."""
    classes = tuple(ClassEvaluation(str(number), sum(row)) for number, row in enumerate(confusion))
    details = EvaluationDetails(classes, confusion) if classes else None
    return EvaluationRecord(0.0, 1, 157, 400, 1.0, accuracy, metrics=metrics, details=details)


def judgement(evaluation, *, outcome="FINISHED"):
    records = (*SOUND[:-1], evaluation, FinishRecord(SOUND[-1].time, 157, outcome, "why"))
    words = [finding for finding in assess(History(records)).findings if "always predicting" in finding.text]
    return [(finding.text.replace("\N{NO-BREAK SPACE}", " "), finding.concern) for finding in words]


ONE_CLASS = ((0, 120), (0, 280))


@pytest.mark.parametrize(
    ("evaluation", "words"),
    [
        (
            scored(R2=-4.225),
            "the mean of the labels (R2 -4.225 against 0). The labels of a regression are not scaled",
        ),
        (scored(R2=0.0), "the mean of the labels (R2 0 against 0)"),
        (
            scored(0.7, confusion=ONE_CLASS, BalancedAccuracy=0.5, AUROC=0.5),
            "the same class (accuracy 70.0 % against 70.0 %, BalancedAccuracy 50.0 % against 50.0 %, "
            "AUROC 50.0 % against 50.0 %). Change the learning rate, or train for more epochs.",
        ),
        (scored(0.3, confusion=((120, 0), (280, 0)), BalancedAccuracy=0.5), "accuracy 30.0 % against 70.0 %"),
        (scored(0.72, confusion=((8, 112), (0, 280)), AUROC=0.53), "accuracy 72.0 % against 70.0 %"),
        (scored(AUROC=0.5, SubsetAccuracy=0.9), "the same class (AUROC 50.0 % against 50.0 %)"),
    ],
    ids=["bad regression", "mean", "most common class", "rare class", "within the noise", "several labels"],
)
def test_a_training_that_learned_nothing_needs_a_look(evaluation, words):
    [(text, concern)] = judgement(evaluation)

    assert text.startswith("The model is no better than always predicting")
    assert words in text
    assert concern


@pytest.mark.parametrize(
    "evaluation",
    [
        scored(R2=0.01),
        scored(R2=math.nan),
        scored(R2=None),
        scored(0.7, confusion=ONE_CLASS, BalancedAccuracy=0.5, AUROC=0.8),
        scored(0.6, confusion=((100, 20), (140, 140)), BalancedAccuracy=0.67),
        scored(1.0, confusion=((0, 0), (0, 400)), BalancedAccuracy=1.0),
        scored(0.9),
        scored(LabelAccuracy=0.9, AUROC=None),
    ],
    ids=[
        *("weak regression", "not finite", "labels of one value", "threshold too high", "balanced weights"),
        *("only one class there", "journal without classes", "undefined area"),
    ],
)
def test_a_training_that_may_have_learned_is_not_called_unhealthy(evaluation):
    assert judgement(evaluation) == []


@given(st.lists(st.integers(1, 200), min_size=2, max_size=9), st.floats(0.06, 1.0))
def test_a_model_clearly_better_than_the_most_common_class_has_learned(counts, gain):
    confusion = tuple((0,) * number + (each,) for number, each in enumerate(counts))
    accuracy = max(counts) / sum(counts) + gain

    assert judgement(scored(accuracy, confusion=confusion)) == []


def test_a_run_that_goes_on_need_not_have_learned_yet():
    [(text, concern)] = judgement(scored(R2=-1.0), outcome="INTERRUPTED")

    assert (
        text == "The model is not yet better than always predicting the mean of the labels (R2 -1 against 0)."
    )
    assert not concern


def test_the_assessment_in_one_line_has_its_concerns_only():
    assert str(assess(History(tuple(SOUND)))) == "Healthy"
    rising = assess(History(tuple(changed(SOUND, loss=float))))
    assert str(rising) == (
        "Needs a look: The training loss did not fall; it went from 8 to 150. Lower the learning rate."
    )


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
