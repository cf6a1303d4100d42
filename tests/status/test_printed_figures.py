"""The training's figures, as people read them."""

from datetime import UTC, datetime

import pytest

from pslgs_operator.assessment.progress import saved_checkpoint, training_progress
from pslgs_operator.snapshot import ServerReport
from pslgs_operator.status.types import SavedCheckpoint, Training
from status.sights import report

KNOWN = training_progress(Training(), report(), 3)


def test_figures_are_printed_for_people() -> None:
    printed = training_progress(Training(), report(), 3)
    assert printed == Training(
        epoch=2,
        epochs=3,
        step=42,
        steps=100,
        progress="42%",
        loss="0.0180",
        accuracy="96.1%",
        deviation="0.320",
        samples_per_second="5,829",
        eta="1h 3m",
    )


@pytest.mark.parametrize(
    ("metric", "value", "best", "printed"),
    [("AUROC", 0.912, 0.95, ("91.2%", "95.0%")), ("R2", -0.5, 0.25, ("-0.5000", "0.2500"))],
    ids=["share", "number"],
)
def test_the_chosen_metric_is_printed_with_its_best_value(metric, value, best, printed) -> None:
    told = report(metric=metric, metric_value=value, best_value=best, best_epoch=2)
    first = training_progress(KNOWN, told, 3)
    assert (first.metric, first.metric_value, first.best_value, first.best_epoch) == (metric, *printed, 2)
    assert training_progress(first, report(metric=metric), 3).best_value == printed[1]
    assert training_progress(first, report(metric="Loss"), 3).best_value == ""


@pytest.mark.parametrize(
    ("field", "value", "name", "expected"),
    [
        pytest.param("loss", 0.0, "loss", "0.0000", id="no-loss"),
        pytest.param("loss", 0.00012, "loss", "1.20e-04", id="tiny-loss"),
        pytest.param("loss", 3.2e9, "loss", "3.20e+09", id="huge-loss"),
        pytest.param("loss", -12.5, "loss", "-12.5000", id="negative-loss"),
        pytest.param("accuracy", 1.0, "accuracy", "100.0%", id="all-right"),
        pytest.param("accuracy", 7.0, "accuracy", "96.1%", id="no-share"),
        pytest.param("progress", 0.9999, "progress", "99%", id="not-quite-done"),
        pytest.param("samples_per_second", 3.25, "samples_per_second", "3.2", id="slow"),
        pytest.param("samples_per_second", 1e15, "samples_per_second", "", id="incredible"),
        pytest.param("eta_seconds", 42.9, "eta", "42s", id="seconds"),
        pytest.param("eta_seconds", 62, "eta", "1m 2s", id="minutes"),
        pytest.param("eta_seconds", 200_000, "eta", "2d 7h", id="days"),
        pytest.param("eta_seconds", 1e18, "eta", "", id="never"),
        pytest.param("eta_seconds", None, "eta", "", id="unknown"),
        pytest.param("epoch", 10**12, "epoch", 3, id="an-epoch-beyond-the-last"),
    ],
)
def test_extremes_are_printed_too(field: str, value: float | None, name: str, expected: object) -> None:
    assert getattr(training_progress(KNOWN, report(**{field: value}), 3), name) == expected


def test_a_server_that_is_silent_or_loads_has_no_pace_but_takes_nothing_back() -> None:
    for nothing in (None, report("Starting", step=0, epoch=0)):
        assert training_progress(KNOWN, nothing, 3) == training_progress(KNOWN, ServerReport("Waiting"), 3)
    assert training_progress(KNOWN, None, 3).loss == "0.0180"
    assert training_progress(KNOWN, None, 3).eta == ""


def test_a_checkpoint_is_kept_until_a_newer_one_is_known() -> None:
    newest = saved_checkpoint(None, report(checkpoint_step=40, checkpoint_time=1_767_323_045.7))
    assert newest == SavedCheckpoint(40, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert saved_checkpoint(newest, None) == newest
    assert saved_checkpoint(newest, report()) == newest
    assert saved_checkpoint(newest, report(checkpoint_step=41, checkpoint_time=1e200)) == newest


@pytest.mark.parametrize(
    ("step", "progress", "expected"),
    [
        pytest.param(43, 0.5, "50%", id="on"),
        pytest.param(43, 0.3, "42%", id="a-client-with-more-samples-joined"),
        pytest.param(40, 0.3, "30%", id="resumed-from-an-earlier-checkpoint"),
    ],
)
def test_progress_decreases_only_with_the_step(step: int, progress: float, expected: str) -> None:
    assert training_progress(KNOWN, report(step=step, progress=progress), 3).progress == expected
