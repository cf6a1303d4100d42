import numpy as np
import pytest
import torch

from pslgs.spec import SplitTrainingJob, parse_job
from simulation.jobs import document


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def paper_job(tmp_path_factory) -> SplitTrainingJob:
    """The labels of the paper's dataset: ten balanced classes, 50,000 samples of a single number."""
    folder = tmp_path_factory.mktemp("labels")
    np.save(folder / "x.npy", np.zeros((50_000, 1), dtype=np.float32))
    np.save(folder / "y.npy", np.repeat(np.arange(10), 5_000))
    manifest = document(epochs=1)
    manifest["spec"]["model"] = {
        "architecture": "mlp",
        "options": {"inputs": 1, "hidden": [2, 2], "outputs": 10},
        "cutLayer": "hidden1",
    }
    manifest["spec"]["data"] = {"train": {"format": "NumPy", "path": str(folder)}}
    manifest["spec"]["sampling"]["globalBatchSize"] = 128
    return parse_job(manifest)
