"""The commands use the model of the best evaluation where they are told to, and that of the end otherwise."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from inference.trained import Trained
from pslgs.cli.main import app

DATA = {"train": {"format": "NumPy", "path": "/data/x.npz"}}
ROWS = np.random.default_rng(0).random((2, 3, 16, 16), dtype=np.float32)


@pytest.fixture
def models(tmp_path: Path) -> dict[str, Trained]:
    """A run whose last and best model differ, and the weights of the best one's file."""
    np.save(tmp_path / "x.npy", ROWS)
    run = tmp_path / "run"
    return {
        "final": Trained(run, data=DATA).finish(),
        "best": Trained(run, data=DATA).finish("best.safetensors"),
    }


def probabilities(trained: Trained) -> list[list[float]]:
    return trained.outputs(torch.from_numpy(ROWS)).double().softmax(dim=1).tolist()


@pytest.mark.parametrize(
    ("options", "which"),
    [([], "final"), (["--model", "final"], "final"), (["--model", "best"], "best")],
    ids=["default", "final", "best"],
)
def test_predictions_are_those_of_the_model_that_is_named(options, which, models, tmp_path):
    arguments = ["predict", str(tmp_path / "run"), str(tmp_path / "x.npy"), "--format", "json", *options]
    result = CliRunner().invoke(app, arguments)
    found = [[*each["probabilities"].values()] for each in json.loads(result.stdout)]
    assert found == [pytest.approx(row, abs=1e-6) for row in probabilities(models[which])]
    other = probabilities(models["final" if which == "best" else "best"])
    assert found != [pytest.approx(row, abs=1e-6) for row in other]


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_the_best_model_is_exported(suffix, models, tmp_path):
    file = tmp_path / f"best.{suffix}"
    arguments = ["export", str(tmp_path / "run"), "--model", "best", "--output", str(file)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "best.safetensors" in result.stdout
    if suffix == "pt":
        with warnings.catch_warnings(action="ignore", category=FutureWarning):  # of torch.jit
            outputs = torch.jit.load(file)(torch.from_numpy(ROWS))
        assert torch.allclose(outputs, models["best"].outputs(torch.from_numpy(ROWS)), atol=1e-5)
        return
    again = ["predict", str(file), str(tmp_path / "x.npy"), "--format", "json"]
    found = [[*each["probabilities"].values()] for each in json.loads(CliRunner().invoke(app, again).stdout)]
    assert found == [pytest.approx(row, abs=1e-6) for row in probabilities(models["best"])]


@pytest.mark.parametrize("command", ["predict", "export"])
def test_a_run_without_a_best_model_says_what_to_take(command, tmp_path):
    Trained(tmp_path / "run", data=DATA).finish()
    np.save(tmp_path / "x.npy", ROWS)
    files = [str(tmp_path / "x.npy")] if command == "predict" else []
    result = CliRunner().invoke(app, [command, str(tmp_path / "run"), *files, "--model", "best"])
    assert result.exit_code == 2
    assert "has no best.safetensors; take the model final or last" in " ".join(result.output.split())
