"""A comparison judges by the job's metric, of whatever task: values, target, curves, table and sentences."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from pslgs import InputError, compare, parse_job
from pslgs.cli.main import app
from pslgs.comparison.chosen_metric import Spread, default_target, gap, reaches, write_goal, write_spread
from pslgs.comparison.report import charts, comparison_document
from pslgs.comparison.tables import columns
from pslgs.comparison.text import answers
from pslgs.spec.metrics import Metric
from simulation.jobs import document, job

STRATEGIES = ("Centralized", "Global", "FixedLocal")


def regression(metric: str | None = "MeanAbsoluteError") -> dict:
    """A regression on the diabetes data, whose metric is an error."""
    source = {"format": "ScikitLearn", "name": "diabetes"}
    described = document(loss="MeanSquaredError", epochs=2)
    spec = described["spec"]
    spec["model"]["options"] = {"inputs": 10, "hidden": [4], "outputs": 1}
    spec["data"] |= {"train": source | {"split": "Train"}, "evaluation": source | {"split": "Test"}}
    spec["data"]["partition"] = {"scheme": "IID", "clients": 4}
    spec["optimizer"]["learningRate"] = 1e-5
    return described | {"spec": spec | ({"metric": metric} if metric else {})}


def labels(folder: Path) -> dict:
    """Three labels a sample."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(48, 4)).astype(np.float32)
    np.savez(folder / "d.npz", x=x, y=(x[:, :3] > 0).astype(np.int64))
    source = {"format": "NumPy", "path": str(folder / "d.npz")}
    described = document(loss="BinaryCrossEntropy", metric="MacroF1", epochs=2)
    described["spec"]["model"]["options"] = {"inputs": 4, "hidden": [4], "outputs": 3}
    described["spec"]["data"] |= {"train": source, "evaluation": source}
    described["spec"]["data"]["partition"] = {"scheme": "IID", "clients": 3}
    described["spec"]["sampling"]["globalBatchSize"] = 12
    return described


@pytest.fixture(scope="module")
def regressed():
    return compare(parse_job(regression()), strategies=STRATEGIES, seeds=1)


def test_a_regression_is_judged_by_its_error(regressed):
    values = [[e.value for e in each.evaluations] for each in regressed.of("Global")]
    row = regressed.rows()[1]
    assert row.value.mean == pytest.approx(np.mean([each[-1] for each in values]))
    assert regressed.metric is Metric.MEAN_ABSOLUTE_ERROR
    best = min(row.value.mean for row in regressed.rows())
    assert 1.05 * best <= regressed.target < 1.06 * best
    assert row.goal.seeds == 1
    assert regressed.target_accuracy is None


@pytest.mark.slow
def test_table_curves_and_sentences_tell_of_the_error(regressed):
    first = charts(regressed)[0]
    assert first.title == "MeanAbsoluteError over steps"
    assert ">MeanAbsoluteError</text>" in first.svg
    titles = [column.title for column in columns(regressed)]
    assert titles[:2] == ["strategy", "MeanAbsoluteError"]
    assert titles[-1] == f"steps to {regressed.target:.4g}"
    assert "accuracy" not in titles
    skew, allocation, price = (each.text for each in answers(regressed))
    assert "the network ends at MeanAbsoluteError " in skew
    assert "Global ends at MeanAbsoluteError " in allocation
    assert f"A value of MeanAbsoluteError of at most {regressed.target:.4g} is reached after" in price
    figures = comparison_document(regressed)
    assert (figures["metric"], figures["target"]) == ("MeanAbsoluteError", regressed.target)
    assert figures["targetAccuracy"] is None


def test_several_labels_are_judged_by_a_share(tmp_path):
    compared = compare(parse_job(labels(tmp_path)), strategies=["Global"], seeds=1, target=0.2)
    result = compared.outcomes[0]
    first = next((e.step for e in result.evaluations if e.value >= 0.2), None)
    goal = compared.rows()[0].goal
    assert (goal.steps if goal else None) == first
    assert [column.title for column in columns(compared)][:2] == ["strategy", "MacroF1"]


ERROR, R2, SHARE = Metric.ROOT_MEAN_SQUARED_ERROR, Metric.R2, Metric.AUROC


@pytest.mark.parametrize(
    ("metric", "best", "target"),
    [
        pytest.param(Metric.ACCURACY, 0.967, 0.91, id="accuracy"),
        pytest.param(SHARE, 0.9, 0.85, id="share"),
        pytest.param(ERROR, 0.01, 0.0105, id="error"),
        pytest.param(ERROR, 1234.5, 1300, id="large error"),
        pytest.param(ERROR, 0.0, 0.0, id="no error"),
        pytest.param(R2, 0.5, 0.475, id="R2"),
        pytest.param(R2, -2.0, -2.1, id="negative R2"),
    ],
)
def test_the_default_target_is_a_little_worse_than_the_best_value(metric, best, target):
    assert default_target(metric, best) == pytest.approx(target)
    assert reaches(metric, best, default_target(metric, best))


def test_a_target_is_reached_from_the_better_side():
    assert (reaches(ERROR, 0.4, 0.5), reaches(ERROR, 0.6, 0.5)) == (True, False)
    assert (reaches(R2, 0.4, 0.5), reaches(R2, 0.6, 0.5)) == (False, True)
    assert not reaches(ERROR, None, 0.5)


def test_values_are_written_in_their_unit():
    low, high = Spread(0.25, 0.01), Spread(0.5, 0.0)
    assert write_spread(SHARE, low).replace("\N{NO-BREAK SPACE}", " ") == "25.0 % ± 1.0"
    assert write_spread(ERROR, low).replace("\N{NO-BREAK SPACE}", " ") == "0.25 ± 0.01"
    assert gap(SHARE, low, high) == "25.0 points lower"
    assert (gap(ERROR, low, high), gap(ERROR, high, low)) == ("0.25 lower (better)", "0.25 higher (worse)")
    assert gap(ERROR, Spread(1e6, 0.0), Spread(1e6 + 1, 0.0)) == "level"
    assert write_goal(R2, 0.5) == "A value of R2 of at least 0.5"
    assert write_goal(Metric.ACCURACY, 0.985) == "An accuracy of 98.5 %"


@pytest.mark.parametrize(
    ("described", "given", "message"),
    [
        pytest.param(
            regression(), {"target_accuracy": 0.9}, "spec.metric is MeanAbsoluteError; give", id="other"
        ),
        pytest.param(regression(None), {"target_accuracy": 0.9}, "spec.metric is Loss; give", id="default"),
        pytest.param(
            document(), {"target": 95}, "--target: is 95, but Accuracy is from 0 to 1", id="percent"
        ),
        pytest.param(regression(), {"target": float("nan")}, "is a finite number", id="no number"),
        pytest.param(
            document(), {"target": 0.9, "target_accuracy": 0.9}, "is given beside --target", id="both"
        ),
    ],
)
def test_a_target_that_the_job_cannot_have_is_refused(described, given, message):
    with pytest.raises(InputError, match=message):
        compare(parse_job(described), strategies=["Global"], seeds=1, **given)


def test_a_target_needs_an_evaluation():
    described = document()
    del described["spec"]["data"]["evaluation"]
    with pytest.raises(InputError, match=r"^--target: needs spec\.data\.evaluation"):
        compare(parse_job(described), target=0.5)


@pytest.mark.slow
def test_the_command_reports_the_target_of_an_accuracy(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("job.yaml").write_text(yaml.safe_dump(job(epochs=1).model_dump(mode="json", by_alias=True)))
    options = ["--strategies", "Global", "--seeds", "1", "--jobs", "1", "--format", "json"]
    result = CliRunner().invoke(app, ["compare", "job.yaml", *options, "--target-accuracy", "0.05"])
    told = json.loads(result.stdout)
    assert (told["metric"], told["target"], told["targetAccuracy"]) == ("Accuracy", 0.05, 0.05)
    assert told["strategies"][0]["goal_seeds"] == 1
