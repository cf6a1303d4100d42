"""Modules that cost seconds at the start, or 30 to 150 MB, are imported only where they are needed."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from pslgs.spec.optimizer import OptimizerName

pytestmark = pytest.mark.slow

COMPILER = {"torch._dynamo", "torch._inductor", "sympy"}
UNNEEDED = COMPILER | {
    *("torchvision", "sklearn", "scipy", "pandas", "pyarrow", "matplotlib", "onnx", "pydicom", "nibabel"),
    *("kubernetes", "distributed", "dask", "kopf", "rich"),
}

CLIENT = """
import json, sys
from pathlib import Path
import pslgs.client.main
from pslgs.data.loading import open_all_training_data
from pslgs.spec import load_job
from pslgs.training.client_step import ClientStep
from pslgs.training.setup import build_setup
from pslgs.training.torch_thread import configure_torch

configure_torch(1)
spec = load_job("job.yaml").spec
data = open_all_training_data(spec.data, ["a", "b"], seed=0, cache=Path("cache"))
task, network = build_setup(spec, data[0].input_shape)
step = ClientStep(task, network.client_part, "a")
step.begin(1, 0)
step.backward(step.forward(data[0].batch(0, 0, 4).inputs))
print(json.dumps(list(sys.modules)))
"""

TRAINING = """
import json, sys
import torch
import pslgs
from pslgs.spec.optimizer import OptimizerName
from pslgs.training.optimizer import build_optimizer, load_optimizer, optimizer_tensors
from pslgs.training.torch_thread import configure_torch

configure_torch(1)
for name in OptimizerName:
    job = pslgs.load_job("job.yaml", [f"spec.optimizer.name={name}"])
    pslgs.simulate(job)
    optimizer = build_optimizer(job.spec.optimizer, [torch.zeros(3, requires_grad=True)])
    load_optimizer(optimizer, *optimizer_tensors(optimizer))
print(json.dumps([*OptimizerName, *sys.modules]))
"""

COMMAND = """
import json, sys
from pslgs.cli.main import main

sys.argv = ["pslgs", "run", "job.yaml", "--output", "run", "--format", "json"]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print(json.dumps(list(sys.modules)))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the manifest of a small job and its data."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "data.npz", x=rng.random((20, 3), np.float32), y=rng.integers(0, 2, 20))
    options = {"inputs": 3, "hidden": [4], "outputs": 2}
    manifest = {
        "apiVersion": "pslgs.dev/v1alpha1",
        "kind": "SplitTrainingJob",
        "metadata": {"name": "small"},
        "spec": {
            "model": {"architecture": "mlp", "options": options, "cutLayer": "hidden1"},
            "data": {
                "train": {"format": "NumPy", "path": "data.npz"},
                "partition": {"scheme": "IID", "clients": 2},
                "evaluation": {"format": "NumPy", "path": "data.npz"},
            },
            "ema": {"decay": 0.9},
            "optimizer": {"clipNorm": 1.0},
            "epochs": 1,
            "sampling": {"globalBatchSize": 4},
        },
    }
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(manifest))
    return tmp_path


def printed_by(code: str, folder: Path) -> set[str]:
    """Run a program whose last line is a list, and return that list."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_a_client_of_a_small_network_imports_no_more_than_it_needs(folder):
    assert not printed_by(CLIENT, folder) & UNNEEDED


def test_training_and_checkpoints_do_not_import_torchs_compiler(folder):
    printed = printed_by(TRAINING, folder)
    assert {*OptimizerName, "torch.optim.sgd"} <= printed
    assert not printed & COMPILER


def test_the_command_that_runs_a_job_leaves_torch_to_the_processes_that_it_starts(folder):
    imported = printed_by(COMMAND, folder)
    assert not imported & {"torch", "grpc", "pyarrow"}
    assert (folder / "run" / "model.safetensors").exists()
