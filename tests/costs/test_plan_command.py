"""``pslgs plan`` as its user sees it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from rich.cells import cell_len
from torch import nn
from typer.testing import Result

from costs.conftest import EXAMPLES, OUTLOOK, Planned, document
from pslgs.costs import plan as planning
from pslgs.costs.inputs import AvailableData, Environment
from pslgs.costs.plan import plan
from pslgs.costs.result import Plan, plan_document, plan_from_document
from pslgs.spec import parse_job
from pslgs.splitting.architectures import cnn

Pslgs = Callable[..., Result]

SPEEDS = ("--client-flops", "50G", "--server-flops", "5T")


def test_digits_are_planned_from_their_own_data(pslgs: Pslgs) -> None:
    result = pslgs("plan", EXAMPLES / "digits.yaml", *SPEEDS)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "digits: 30 epochs over 1,437 samples of 10 classes at 4 clients, 64 a step"
    assert lines[1] == "  samples and classes: the job's own data"
    assert max(map(cell_len, lines)) <= 100
    assert not [line for line in result.stdout.splitlines() if line.endswith(" ")]
    assert "…" not in result.stdout  # nothing had to be cut off
    for word in (
        "FixedProportionalLocal",
        "Centralized",
        "hidden2",
        "A step takes, by spec.transport.compression: None ",
        "Recommendation: keep the cut after",
    ):
        assert word in result.stdout


@pytest.mark.slow
def test_cifar10_is_planned_without_its_data(pslgs: Pslgs) -> None:
    result = pslgs("plan", EXAMPLES / "cifar10.yaml", *SPEEDS)
    assert result.exit_code == 0, result.output
    assert max(map(cell_len, result.stdout.splitlines())) <= 100
    assert "…" not in result.stdout
    words = " ".join(result.stdout.split())
    assert "16,000 samples of balanced classes, dealt out by ExtendedDirichlet" in words
    assert (
        "a sample is 3×32×32 values, from a guess from the network's first layer and the transforms" in words
    )
    assert "spec.data.train: cannot be read here (spec.data.train.path: is 'data/cifar10" in words
    assert "assumed, say how many there are with --dataset-sizes" in words


@pytest.mark.slow
def test_the_size_of_the_common_dataset_is_dealt_out_by_the_partition(pslgs: Pslgs) -> None:
    result = pslgs(
        "plan", EXAMPLES / "cifar10.yaml", *SPEEDS, "--dataset-sizes", "50000", "--clients", "32",
        "--format", "json",
    )  # fmt: skip
    told = json.loads(result.stdout)
    assert (told["samples"], told["clients"], told["classes"]) == (50_000, 32, 10)
    assert told["strategies"][0]["steps"] == 391
    assert told["strategies"][1]["bias"] > 0.05  # the partition is the job's, not a balanced one
    assert not [each for each in told["advice"] if each["path"] == "spec.data.train"]


def test_json_says_all_that_the_plan_holds(pslgs: Pslgs) -> None:
    result = pslgs(
        "plan", EXAMPLES / "digits.yaml", *SPEEDS, "--bandwidth", "20Mbps", "--latency", "5ms",
        "--client-memory", "1GiB", "--format", "json",
    )  # fmt: skip
    told = plan_from_document(json.loads(result.stdout))
    assert (told.bandwidth, told.latency, told.client_memory) == (2e7, 0.005, 1 << 30)
    assert (told.client_flops, told.client_speed_measured) == (5e10, False)
    assert told.own_cut.layer == "hidden1"


@pytest.mark.slow
def test_a_plan_survives_json(planned: Planned) -> None:
    for spec in ({}, {"loss": "MeanSquaredError"}, {"sampling": {"strategy": "FixedLocal"}}):
        plan = planned(**spec)
        assert plan_from_document(json.loads(json.dumps(plan_document(plan), allow_nan=False))) == plan


@pytest.mark.slow
def test_all_cuts_are_more_than_the_readable_ones(pslgs: Pslgs) -> None:
    arguments = ("plan", EXAMPLES / "digits.yaml", *SPEEDS, "--format", "json")
    some, every = (json.loads(pslgs(*arguments, *more).stdout)["cuts"] for more in ((), ("--all-cuts",)))
    assert [each["layer"] for each in some] == ["hidden1", "hidden2"]
    assert [each["layer"] for each in every] == [
        "hidden1.0",
        "hidden1.1",
        "hidden1",
        "hidden2.0",
        "hidden2.1",
        "hidden2",
    ]


def test_fields_can_be_set(pslgs: Pslgs) -> None:
    told = json.loads(
        pslgs(
            "plan",
            EXAMPLES / "digits.yaml",
            *SPEEDS,
            "--set",
            "spec.transport.compression=Int8",
            "--format",
            "json",
        ).stdout
    )
    assert told["compression"] == "Int8"
    assert told["cuts"][0]["bytes_up"] < 150_000


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--bandwidth", "fast"), "error: --bandwidth: is 'fast', must be a number with its unit"),
        (("--dataset-sizes", "1,2"), "error: --dataset-sizes: gives 2 sizes, but there are 4 clients"),
        (
            ("--set", "spec.model.cutLayer=hidden7"),
            "error: spec.model.cutLayer: the model has no layer 'hidden7'",
        ),
        (("--set", "spec.epoch=7"), "error: spec.epoch: is unknown; did you mean epochs?"),
    ],
    ids=["bandwidth", "sizes", "cut layer", "unknown field"],
)
def test_errors_are_one_sentence(pslgs: Pslgs, arguments, error) -> None:
    result = pslgs("plan", EXAMPLES / "digits.yaml", *SPEEDS, *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith(error)
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


def test_data_of_each_client_are_counted(pslgs: Pslgs, tmp_path: Path) -> None:
    for name, samples in (("north", 30), ("south", 90)):
        np.savez(
            tmp_path / f"{name}.npz",
            x=np.zeros((samples, 64), np.float32),
            y=np.arange(samples) % 10,
        )
    job = document(data={"train": {"format": "NumPy", "path": str(tmp_path / "{client}.npz")}})
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job))
    told = json.loads(pslgs("plan", tmp_path / "job.yaml", *SPEEDS, "--format", "json").stdout)
    assert (told["samples"], told["clients"], told["samples_from"]) == (120, 2, "the job's own data")


TICKS = [float(tick) for tick in range(28)]


def measured(ticks: list[float]) -> Plan:
    """Plan with speeds that are measured by a clock that shows ``ticks``."""
    outlook = Environment(OUTLOOK.link, dataset_sizes=(100,), clients=8)
    return plan(parse_job(document()), outlook, clock=iter(ticks).__next__)


def test_the_speed_of_this_machine_is_measured_where_none_is_given(cores) -> None:
    cores(8)
    outlook = Environment(OUTLOOK.link, dataset_sizes=(100,), clients=2, server_flops=1e9)
    found = plan(parse_job(document()), outlook, clock=iter(TICKS).__next__)
    flops = 2 * (64 * 32 + 32 * 16 + 16 * 10)
    assert found.client_flops == 2 * 3 * flops  # two samples a second, which is as few as it tries
    assert (found.server_flops, found.client_speed_measured, found.server_speed_measured) == (
        1e9,
        True,
        False,
    )


@pytest.fixture
def cores(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """Let the machine have this many cores; returns the numbers of threads that torch is told."""

    def have(number: int) -> list[int]:
        told: list[int] = []
        monkeypatch.setattr(planning, "available_cores", lambda: number)
        monkeypatch.setattr(torch, "set_num_threads", told.append)
        return told

    return have


@pytest.mark.parametrize(("number", "threads"), [(1, [1]), (16, [2, 16])], ids=["one core", "several cores"])
def test_speeds_are_measured_with_the_threads_of_a_run(number, threads, cores) -> None:
    before, told = torch.get_num_threads(), cores(number)
    measured(TICKS)
    assert told == [each for thread in threads for each in (thread, before)]


def test_the_best_of_several_passes_counts_and_a_busy_machine_is_named(cores) -> None:
    cores(1)
    steady = measured(TICKS)
    assert "--client-flops" not in [each.path for each in steady.advice]
    busy = [tick if tick < 13 else 100.0 for tick in TICKS]  # the last pass takes 88 s
    found = measured(busy)
    assert found.client_flops == found.server_flops == steady.client_flops
    [advice] = [each.text for each in found.advice if each.path == "--client-flops"]
    assert "the slowest took 88 times as long as the fastest: the machine is busy" in advice


def test_a_builder_of_two_parts_has_one_cut(planned: Planned) -> None:
    model = {"architecture": "costs.test_plan_command:two_parts", "inputShape": [3, 8, 8]}
    found = planned(model=model)
    assert [cut.layer for cut in found.cuts] == [found.recommendation.layer] == [""]
    assert found.recommendation.reason.startswith("keep the cut after the client part as it is.")


def test_a_network_that_must_be_computed_has_the_jobs_own_cut(planned: Planned) -> None:
    model = {"architecture": "costs.test_plan_command:looks_at_values", "cutLayer": "first"}
    assert [cut.layer for cut in planned(model=model | {"inputShape": [4]}).cuts] == ["first"]


def two_parts() -> tuple[nn.Module, nn.Module]:
    whole = cnn(width=4)
    return nn.Sequential(*list(whole)[:1]), nn.Sequential(*list(whole)[1:])


class Picky(nn.Module):
    """Looks at values, so that the meta device cannot compute it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, smashed):
        return self.layer(smashed) if smashed.sum() > -1e9 else smashed


def looks_at_values() -> nn.Module:
    network = nn.Sequential()
    network.add_module("first", nn.Linear(4, 8))
    network.add_module("picky", Picky())
    network.add_module("last", nn.Linear(8, 10))
    return network


def test_without_data_the_library_says_what_it_assumes() -> None:
    outlook = OUTLOOK.__class__(OUTLOOK.link, clients=3, client_flops=1e8, server_flops=1e9)
    found = plan(parse_job(document()), outlook, AvailableData(obstacle="they lie elsewhere"))
    assert (found.samples, found.clients) == (3000, 3)
    assert found.advice[0].text.startswith("cannot be read here (they lie elsewhere); 1,000 samples a client")
