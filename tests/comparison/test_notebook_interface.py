import json
import subprocess
import sys
from pathlib import Path

import pytest

import pslgs
from simulation.jobs import job

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "pilot.ipynb"


def test_importing_the_package_imports_nothing_slow():
    code = "import sys, pslgs; pslgs.load_job; print({'torch', 'numpy', 'grpc'} & {*sys.modules})"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "set()"


@pytest.mark.parametrize("name", pslgs.__all__, ids=str)
def test_every_name_it_offers_is_there_and_explained(name):
    assert getattr(pslgs, name).__doc__
    assert name in dir(pslgs)


def test_a_name_it_does_not_have_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'pslgs' has no attribute 'train'"):
        pslgs.train  # noqa: B018 - looking it up is the test


def test_a_manifest_is_loaded_by_a_path_in_text():
    loaded = pslgs.load_job(str(ROOT / "examples" / "digits.yaml"), ["spec.epochs=3"])
    assert (loaded.metadata.name, loaded.spec.epochs) == ("digits", 3)


def test_a_plan_is_made_as_the_command_makes_it():
    plan = pslgs.plan(job(), clients=5, bandwidth="10Mbps", client_flops="1G", server_flops="1T")
    assert (plan.clients, plan.bandwidth, plan.samples) == (5, 1e7, 1_437)


def test_the_columns_of_a_simulation_are_alike_long():
    table = pslgs.simulate(job(), schedule_only=True).steps.table()
    assert {len(column) for column in table.values()} == {46}


@pytest.fixture(scope="module")
def cells() -> list[dict]:
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]


def source(cell: dict) -> str:
    return "".join(cell["source"])


@pytest.mark.slow
def test_the_notebook_runs_from_its_first_cell_to_its_last(cells, monkeypatch):
    monkeypatch.chdir(NOTEBOOK.parent)
    monkeypatch.setenv("MPLBACKEND", "agg")
    names: dict = {}
    for number, cell in enumerate(cells):
        if cell["cell_type"] == "code":
            exec(compile(source(cell), f"cell {number}", "exec"), names)  # noqa: S102 - what a notebook does
    assert names["comparison"].table()["strategy"][1] == "Global"


def test_the_notebook_is_kept_without_outputs(cells):
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def test_the_notebook_needs_nothing_that_is_not_installed_with_the_runtime(cells):
    imports = [
        line for cell in cells for line in source(cell).splitlines() if line.startswith(("import", "from"))
    ]
    assert {line.split()[1].partition(".")[0] for line in imports} <= {"pslgs", "matplotlib", "pathlib"}
