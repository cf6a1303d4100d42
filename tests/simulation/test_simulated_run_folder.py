import io

import pytest
import yaml
from rich.console import Console
from safetensors.torch import load_file

from pslgs.launch.progress import ProgressView
from pslgs.launch.simulate_job import simulate_in_folder
from pslgs.reporting.page import write_report
from pslgs.sampling.registry import STRATEGIES
from pslgs.simulation.setup import Simulation, SimulationOptions, parse_mix
from pslgs.telemetry.journal import read
from pslgs.telemetry.records import FinishRecord, StepRecord
from simulation.jobs import job


@pytest.fixture
def simulated(tmp_path):
    def run(strategy: str, profile: str | None = None):
        options = SimulationOptions(parse_mix(profile) if profile else None)
        simulation = Simulation(job(), STRATEGIES[strategy], options)
        shown = io.StringIO()
        with ProgressView(Console(file=shown)) as view:
            simulate_in_folder(simulation, tmp_path, [f"client-{i}" for i in range(8)], view)
        return tmp_path, shown.getvalue()

    return run


@pytest.mark.slow
def test_a_simulation_leaves_the_folder_of_a_run(simulated):
    folder, shown = simulated("Global", "lte")
    records = read(folder / "metrics.jsonl")
    assert isinstance(records[-1], FinishRecord)
    steps = [record for record in records if isinstance(record, StepRecord)]
    assert len(steps) == 46
    assert all(step.modelled_seconds > 0 for step in steps)
    assert set(steps[0].seconds) == {"forward_wait", "server", "backward_wait", "update"}
    assert "hidden1.0.weight" in load_file(folder / "model.safetensors")
    assert {"job.yaml", "machine.json"} <= {path.name for path in folder.iterdir()}
    assert "step 1/46" in shown
    assert "clients 8/8" in shown
    write_report(folder, folder / "report.html")


@pytest.mark.slow
def test_a_baseline_is_named_in_the_folder(simulated):
    folder, _ = simulated("FederatedAveraging")
    written = yaml.safe_load((folder / "job.yaml").read_text(encoding="utf-8"))
    assert written["spec"]["sampling"]["strategy"] == "FederatedAveraging"
    write_report(folder, folder / "report.html")
    assert "FederatedAveraging" in (folder / "report.html").read_text(encoding="utf-8")
