"""The worked examples in processes: equal to simulations, and resumable with what was standardised."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from examples.test_worked_examples import EXAMPLES, make_data
from local_runs.runs import described, pslgs_forked, pslgs_here

pytestmark = pytest.mark.slow


def model_of(folder: Path, name: str, command: str, output: str, *arguments: str) -> dict[str, torch.Tensor]:
    pslgs = pslgs_forked if command == "simulate" else pslgs_here
    result = pslgs(command, f"{name}.yaml", "--output", output, *arguments, cwd=folder)
    assert result.returncode == 0, described(result, folder / output)
    return load_file(folder / output / "model.safetensors")


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.mark.parametrize("name", ["energy", "tickets"])
def test_standardised_and_integer_inputs_train_alike_in_processes_and_in_a_simulation(name, tmp_path):
    make_data(name, tmp_path, samples=48)
    shutil.copy(EXAMPLES / name / f"{name}.yaml", tmp_path)
    short = ("--set", "spec.epochs=2")
    ran = model_of(tmp_path, name, "run", "run", *short)
    assert_equal(ran, model_of(tmp_path, name, "simulate", "simulated", *short))
    if name == "energy":
        model_of(tmp_path, name, "run", "resumed", "--set", "spec.epochs=1")
        assert_equal(ran, model_of(tmp_path, name, "run", "resumed", "--resume", *short))
