"""Progress, the summary of a simulation and the table of a comparison show the metric that was chosen."""

import io
from dataclasses import fields, replace

import pytest
from rich.console import Console

from pslgs.comparison.summary import Comparison
from pslgs.comparison.tables import columns
from pslgs.comparison.trial import ComparisonOptions, Evaluation, Trial, TrialResult
from pslgs.launch.progress import ProgressView
from pslgs.simulation.result import SimulationResult, Steps
from pslgs.simulation.summary import summary, words
from pslgs.telemetry.records import EvaluationRecord, FinishRecord
from pslgs.telemetry.status import Status, next_status
from simulation.jobs import job


def evaluation(epoch: int, metric: str, value: float | None) -> EvaluationRecord:
    return EvaluationRecord(0.0, epoch, epoch, 10, 1.0, 0.5, metric=metric, metrics={metric: value})


SHOWN = pytest.mark.parametrize(
    ("metric", "values", "name", "value", "best"),
    [
        ("AUROC", (0.75, 0.5), "AUROC", "50.0\N{NO-BREAK SPACE}%", "75.0\N{NO-BREAK SPACE}%"),
        ("Loss", (0.25, 0.5), "evaluation loss", "0.5", "0.25"),
        ("R2", (None, -0.5), "R2", "-0.5", "-0.5"),
    ],
    ids=["a share", "the loss", "once undefined"],
)


@SHOWN
def test_progress_shows_the_chosen_metric_and_its_best_value(metric, values, name, value, best):
    status = replace(Status(0.0, 3, 2, metric=metric), step=1, steps=9, epoch=2)
    for epoch, each in enumerate(values, start=1):
        status = next_status(status, evaluation(epoch, metric, each))
    written = io.StringIO()
    with ProgressView(Console(file=written)) as view:
        view.show(status.to_json())
    epoch = 2 if values[0] is None else 1
    assert f"{name} {value} (best {best} after epoch {epoch})" in written.getvalue()


def test_progress_shows_the_accuracy_once():
    status = replace(Status(0.0, 3, 2, metric="Accuracy"), step=1, steps=9, epoch=2)
    written = io.StringIO()
    with ProgressView(Console(file=written)) as view:
        view.show(next_status(status, evaluation(1, "Accuracy", 0.5)).to_json())
    assert written.getvalue().lower().count("accuracy") == 1


def no_steps() -> Steps:
    return Steps.of_columns({field.name: () for field in fields(Steps)})


def simulated(metric: str, values) -> SimulationResult:
    evaluations = tuple(evaluation(epoch, metric, each) for epoch, each in enumerate(values, start=1))
    finish = FinishRecord(0.0, 2, "FINISHED", "done")
    return SimulationResult(
        "Global", 2, 0, {"a": 1, "b": 1}, 4, None, no_steps(), evaluations, finish, None, None
    )


@SHOWN
def test_the_summary_of_a_simulation_tells_the_chosen_metric(metric, values, name, value, best):
    figures = summary(simulated(metric, values))
    epoch = 2 if values[0] is None else 1
    assert figures["metric"] == {
        "name": metric,
        "value": values[-1],
        "best": values[epoch - 1],
        "bestEpoch": epoch,
    }
    assert (name, f"{value}, the best was {best} after epoch {epoch}") in words(figures)


def test_a_comparison_has_a_column_of_the_chosen_metric():
    outcomes = tuple(
        TrialResult(
            Trial("Global", seed),
            2,
            2,
            4,
            (),
            no_steps(),
            (Evaluation(1, 1, 0.5, None, value),),
            "FINISHED",
            "",
        )
        for seed, value in enumerate((0.5, 0.75))
    )
    shown = {}
    for metric in ("AUROC", "Accuracy", "Loss"):
        comparison = Comparison(job(metric=metric), ComparisonOptions(("Global",), (0, 1)), outcomes)
        shown[metric] = {
            column.title: column.cells[0].replace("\N{NO-BREAK SPACE}", " ") for column in columns(comparison)
        }
    assert shown["AUROC"]["AUROC"] == "62.5 % ± 17.7"
    assert shown["Loss"]["Loss"] == "0.625 ± 0.18"
    assert list(shown["Accuracy"])[:2] == ["strategy", "accuracy"]
