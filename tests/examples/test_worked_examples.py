"""The worked examples train on the data that they make up, and become useful."""

import importlib.util
import runpy
import sys
from pathlib import Path

import pytest

from pslgs.launch.local_clients import local_clients
from pslgs.simulation.api import simulate
from pslgs.simulation.setup import SimulationOptions
from pslgs.spec import load_job

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = ("energy", "tickets", "vibration", "xray")


def make_data(name: str, folder: Path, **size: int) -> None:
    """Run the generator of an example, which needs nothing but this folder."""
    spec = importlib.util.spec_from_file_location(f"make_data_of_{name}", EXAMPLES / name / "make_data.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(folder / "data", **size)


def trained(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch):
    make_data(name, folder)
    monkeypatch.chdir(folder)
    job = load_job(EXAMPLES / name / f"{name}.yaml")
    clients = [each.client_id for each in local_clients(job.spec, None)]
    return simulate(job, options=SimulationOptions(client_ids=clients, cache=folder / "cache"))


@pytest.mark.parametrize("name", NAMES)
def test_an_example_has_the_clients_and_data_that_its_manifest_names(name, tmp_path, monkeypatch):
    make_data(name, tmp_path, samples=9)
    monkeypatch.chdir(tmp_path)
    job = load_job(EXAMPLES / name / f"{name}.yaml")
    assert job.metadata.name == name
    found = sorted(path.name for path in (tmp_path / "data").iterdir() if path.is_dir())
    assert [each.client_id for each in local_clients(job.spec, None)] == found


@pytest.mark.parametrize("script", sorted(EXAMPLES.glob("*/make_data.py")), ids=lambda path: path.parent.name)
def test_a_generator_explains_itself_instead_of_writing_a_folder_called_help(
    script, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [script.name, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(script), run_name="__main__")
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: make_data.py [-h] [folder]")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tickets", "vibration", "xray"])
def test_a_classifier_of_the_examples_is_right_nine_times_in_ten(name, tmp_path, monkeypatch):
    last = trained(name, tmp_path, monkeypatch).evaluations[-1]
    assert last.accuracy > 0.9


@pytest.mark.slow
def test_the_regression_of_the_examples_explains_its_targets(tmp_path, monkeypatch):
    evaluations = trained("energy", tmp_path, monkeypatch).evaluations
    assert evaluations[-1].loss < 0.5 < 20 * evaluations[-1].loss < evaluations[0].loss * 20
