import json
import subprocess
import sys

import numpy as np
import yaml

WORK = """
import json, sys
from pathlib import Path
import pslgs.client.main
from pslgs.data.loading import open_all_training_data
from pslgs.spec import load_job
from pslgs.training.setup import build_setup

spec = load_job(sys.argv[1]).spec
data = open_all_training_data(spec.data, ["a", "b"], seed=0, cache=Path(sys.argv[2]))
_, network = build_setup(spec, data[0].input_shape)
network.client_part(data[0].batch(0, 0, 4).inputs)
print(json.dumps(list(sys.modules)))
"""
UNNEEDED = {
    *("torchvision", "sklearn", "scipy", "pandas", "matplotlib", "onnx", "pydicom", "nibabel"),
    *("kubernetes", "distributed", "dask", "kopf", "rich", "torch._dynamo", "torch._inductor"),
}


def test_a_client_of_a_small_network_imports_no_more_than_it_needs(tmp_path):
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
            },
            "epochs": 1,
            "sampling": {"globalBatchSize": 4},
        },
    }
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(manifest))
    command = [sys.executable, "-c", WORK, "job.yaml", "cache"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert not UNNEEDED & set(json.loads(done.stdout))
