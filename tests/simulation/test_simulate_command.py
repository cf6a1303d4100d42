import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from local_runs.runs import pslgs
from pslgs.cli.main import app
from simulation.jobs import document

run = CliRunner().invoke


@pytest.fixture
def manifest(tmp_path, monkeypatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("job.yaml").write_text(yaml.safe_dump(document()), encoding="utf-8")
    return "job.yaml"


def test_a_folder_that_holds_a_run_is_not_overwritten(manifest):
    Path("out").mkdir()
    Path("out/job.yaml").touch()
    result = run(app, ["simulate", manifest, "--output", "out"])
    assert result.exit_code == 2
    assert "out has a run already" in result.stderr


def test_json_is_all_that_is_printed_and_has_no_nan(manifest):
    result = run(app, ["simulate", manifest, "--schedule-only", "--format", "json"])
    figures = json.loads(result.stdout, parse_constant=pytest.fail)
    assert (figures["strategy"], figures["stepsPerEpoch"], figures["accuracy"]) == ("Global", 23, None)
    assert not Path("runs").exists()


def test_the_figures_of_every_step_are_written_where_a_folder_is_named(manifest):
    result = run(app, ["simulate", manifest, "--schedule-only", "--output", "out"])
    assert result.exit_code == 0, result.output
    lines = Path("out/schedule.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + 46


def test_a_bad_profile_is_told_in_one_line(manifest):
    result = run(app, ["simulate", manifest, "--schedule-only", "--profile", "lt"])
    assert result.exit_code == 2
    assert result.stderr == (
        "error: --profile: names 'lt', must be one of lan, wifi, lte, satellite or a YAML file; "
        "did you mean lte?\n"
    )


def test_clients_that_have_data_of_their_own_are_found(manifest, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("berlin", "aachen"):
        np.savez(tmp_path / f"{name}.npz", x=rng.normal(size=(70, 64)), y=rng.integers(0, 10, 70))
    own = document(data={"train": {"format": "NumPy", "path": str(tmp_path / "{client}.npz")}})
    Path("own.yaml").write_text(yaml.safe_dump(own), encoding="utf-8")
    result = run(app, ["simulate", "own.yaml", "--schedule-only", "--format", "json"])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    assert (figures["clients"], figures["samples"]) == (2, 140)


@pytest.mark.slow
def test_the_command_trains_and_reports(manifest, tmp_path):
    result = pslgs("simulate", manifest, "--clients", "12", "--profile", "lte", cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "12 virtual clients; run folder runs/digits-simulated" in result.stdout.replace("\xa0", " ")
    assert "12 clients, 1,437 samples" in result.stdout
    assert (tmp_path / "runs/digits-simulated/report.html").exists()
