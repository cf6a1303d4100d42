import csv
import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from local_runs.runs import pslgs
from pslgs.cli.compare import _in_own_folder
from pslgs.cli.main import app
from pslgs.comparison.store import TrialStore
from simulation.jobs import document

run = CliRunner().invoke


@pytest.fixture
def manifest(tmp_path, monkeypatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("job.yaml").write_text(yaml.safe_dump(document()), encoding="utf-8")
    return "job.yaml"


def look(manifest, *options):
    return run(app, ["compare", manifest, "--schedule-only", "--seeds", "2", "--jobs", "1", *options])


def test_sites_are_described_as_for_a_run(manifest):
    described = yaml.safe_load(Path(manifest).read_text(encoding="utf-8"))
    described["spec"]["data"] = {"train": {"format": "NumPy", "path": "{client}.npz"}}
    Path(manifest).write_text(yaml.safe_dump(described), encoding="utf-8")
    for name in ("Site_1.npz", "site-2.npz", ".site-3.npz"):
        Path(name).touch()
    lines = look(manifest, "--strategies", "Global").output.splitlines()
    assert lines[:2] == [
        "the data of 'Site_1' are those of the client site-1",
        "not a client's data: 1 hidden file (.site-3.npz)",
    ]


@pytest.mark.slow
def test_json_is_all_that_is_printed(manifest):
    result = look(manifest, "--format", "json", "--strategies", "Global,FixedLocal")
    figures = json.loads(result.stdout, parse_constant=pytest.fail)
    assert [row["strategy"] for row in figures["strategies"]] == ["Global", "FixedLocal"]
    assert figures["strategies"][0]["steps_per_epoch"] == 23
    assert (figures["seeds"], len(figures["answers"])) == ([3, 4], 3)


@pytest.mark.slow
def test_the_folder_has_a_table_a_document_and_a_report(manifest):
    result = look(manifest, "--output", "out", "--partition", "severe")
    assert result.exit_code == 0, result.output
    assert {path.name for path in Path("out").iterdir()} == {
        "cells",
        "comparison.csv",
        "comparison.json",
        "job.yaml",
        "report.html",
        "timing.json",
    }
    table = list(csv.DictReader(Path("out/comparison.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["strategy"] for row in table] == [
        "Centralized",
        "Global",
        "FixedLocal",
        "FixedProportionalLocal",
    ]
    assert float(table[2]["deviation"]) > float(table[1]["deviation"])


@pytest.mark.slow
def test_what_is_printed_fits_the_terminal_and_answers_the_questions(manifest):
    result = look(manifest, "--profile", "lan:0.8,lte:0.2")
    assert result.exit_code == 0, result.output
    assert max(map(len, result.stdout.splitlines())) <= 100
    assert "Centralized-seed-3 in" in result.stdout
    assert "finished already" not in result.stdout
    for question in (
        "What does skew cost?",
        "Does global sampling help?",
        "What does it cost in traffic and time?",
    ):
        assert question in result.stdout
    again = look(manifest, "--profile", "lan:0.8,lte:0.2").stdout
    assert "8 simulations, 8 of them finished already; folder runs/digits-compared" in again.replace(
        "\xa0", " "
    )


@pytest.mark.slow
def test_the_folder_of_another_comparison_is_told_in_one_line(manifest):
    look(manifest, "--strategies", "Global", "--output", "mine")
    result = look(manifest, "--strategies", "Global", "--partition", "iid", "--output", "mine")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "error: --output: mine holds another comparison (other job, clients, links, threads or version); "
        "name another folder, or remove that one\n"
    )


def test_comparisons_with_other_settings_are_numbered_and_those_with_equal_ones_continued(manifest):
    Path("runs/digits-compared").mkdir(parents=True)
    Path("runs/digits-compared/metrics.jsonl").touch()  # a run of that name

    def compared(settings: str) -> str:
        def compare_in(folder):
            with TrialStore(folder, settings).prepared():
                (folder / "cells/Global-seed-3.json").write_text(json.dumps({"fingerprint": settings}))
            return settings

        folder, result = _in_own_folder(compare_in, "digits-compared")
        assert result == settings
        return str(folder)

    assert [compared(each) for each in ("mild", "iid", "mild", "iid")] == [
        "runs/digits-compared-2",
        "runs/digits-compared-3",
        "runs/digits-compared-2",
        "runs/digits-compared-3",
    ]


def test_an_unknown_strategy_is_told_in_one_line(manifest):
    result = look(manifest, "--strategies", "Global, FixdLocal")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "error: strategies: is 'FixdLocal', must be one of Global, FixedLocal, FixedProportionalLocal, "
        "LatentDirichlet, Centralized, SequentialSplit, FederatedAveraging; did you mean FixedLocal?\n"
    )
    assert not Path("runs").exists()


@pytest.mark.slow
def test_the_command_trains_in_processes_of_its_own(manifest, tmp_path):
    result = pslgs("compare", manifest, "--seeds", "1", "--clients", "6", "--jobs", "2", cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "runs/digits-compared/report.html" in result.stdout
    assert (tmp_path / "runs/digits-compared/report.html").exists()
    assert "With all data in one place, the network ends at" in " ".join(result.stdout.split())
