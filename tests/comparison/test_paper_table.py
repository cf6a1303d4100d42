"""The command that trains the paper's table, with a small job and a single number of clients."""

import re
from pathlib import Path

import pytest
import torch
import yaml
from benchmarks import paper_settings, paper_table, paper_training

from pslgs import simulate
from pslgs.comparison import step_cost
from pslgs.comparison.step_cost import StepCost, measure_step
from pslgs.simulation.setup import SimulationOptions
from pslgs.telemetry.records import StepRecord
from simulation.jobs import document, job

EPOCHS = 2


@pytest.fixture
def manifest(tmp_path, monkeypatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(paper_settings, "CLIENTS", (6,))
    Path("job.yaml").write_text(yaml.safe_dump(document(epochs=EPOCHS)), encoding="utf-8")
    return "job.yaml"


@pytest.fixture
def computing() -> paper_settings.Computing:
    return paper_settings.Computing(Path("runs/paper"), "cpu", threads=1, jobs=1, scheduler=None)


def run(*arguments: str) -> None:
    paper_table.main([*arguments, "--device", "cpu", "--jobs", "1", "--seeds", "1"])


@pytest.mark.slow
def test_an_estimate_trains_nothing(manifest, capsys):
    run(manifest, "--train", "--estimate")
    told = capsys.readouterr().out.replace("\xa0", " ")
    assert re.fullmatch(
        r"6 trainings, 1 at a time: about 0\.\d h \(.+ of computing\), each with up to [\d.]+ [MG]B .*\n",
        told,
    )
    assert {path.name for path in Path("runs/paper").iterdir()} == {"severe-6", "mild-6"}


@pytest.mark.slow
def test_the_table_is_trained_and_continued(manifest, capsys):
    run(manifest, "--train")
    estimate, *table = capsys.readouterr().out.splitlines()
    assert estimate.startswith("6\xa0trainings")
    assert table[0] == "| partition | K | GPSL | FPLS | FLS |"
    assert [re.sub(r"\d+\.\d\xa0%", "x", row) for row in table[2:]] == [
        "| severe | 6 | x | x | x |",
        "| mild | 6 | x | x | x |",
    ]
    run(manifest, "--train")
    assert capsys.readouterr().out.splitlines() == ["all trainings are finished", *table]


@pytest.mark.slow
def test_the_estimate_counts_the_steps_of_each_training(manifest, computing, monkeypatch):
    monkeypatch.setattr(paper_training, "measure_step", lambda *_: StepCost(3.0, 7.0, 1000))
    settings = list(paper_settings.settings(paper_settings.Skew.SEVERE))
    told = paper_training.estimate(job(epochs=EPOCHS), settings, 2, computing)
    steps = [
        len(simulate(job(epochs=EPOCHS), **trial, clients=6, partition="severe", schedule_only=True).steps)
        for trial in ({"strategy": name, "seed": seed} for name in paper_settings.NAMES for seed in range(2))
    ]
    assert told == paper_training.Estimate(6, 3 * sum(steps) + 6 * EPOCHS * 7, 1, 1000)


def test_steps_are_measured_without_those_that_warm_up(monkeypatch):
    made = []

    def simulated(_job, *, watch, **_options):
        for step in range(1, 100):
            made.append(step)
            monkeypatch.setattr(step_cost.time, "perf_counter", lambda step=step: 50 + step)
            watch(step_record(step), 99)

    monkeypatch.setattr(step_cost.time, "perf_counter", lambda: 0)
    monkeypatch.setattr(step_cost, "simulate", simulated)
    cost = measure_step(job(), SimulationOptions(device="cpu"))
    assert (cost.seconds, len(made)) == (1, step_cost.WARM_STEPS + step_cost.MEASURED_STEPS)
    assert cost.evaluation_seconds == pytest.approx(360 / 64 / 3)


def step_record(step: int):
    return StepRecord(0, 1, step, 1, 0.5, 64, None, None, None, 0.1, {}, {})


@pytest.mark.slow
def test_a_job_of_a_single_step_is_measured(tmp_path):
    one = job(epochs=1, sampling={"globalBatchSize": 1437})
    cost = measure_step(one, SimulationOptions(device="cpu", cache=tmp_path))
    assert cost.seconds > 0
    assert cost.peak_bytes > 10_000_000


@pytest.mark.cuda
@pytest.mark.slow
def test_the_memory_of_a_gpu_is_what_torch_allocates_there(tmp_path):
    cost = measure_step(job(), SimulationOptions(device="cuda", cache=tmp_path))
    assert 0 < cost.peak_bytes == torch.cuda.max_memory_allocated()
