"""Models of one process and of several, and batches for them."""

import torch

from exactness import small_job
from pslgs.coordination.epoch_position import ONLY_STEP, EpochPosition
from pslgs.spec import JobSpec
from pslgs.training.distributed_passes import DistributedPasses
from pslgs.training.local_server_model import LocalServerModel
from pslgs.training.setup import build_setup
from pslgs.training.worker_processes import WorkerProcesses
from training.server_parts import FEATURES

CPU = torch.device("cpu")
CLASSES = torch.tensor([0, 1, 2, 0, 0, 1, 1, 2, 0])
LABELS = {
    "classes": CLASSES.unsqueeze(1),
    "binary": (CLASSES > 0).double().unsqueeze(1),
    "values": torch.stack([CLASSES.double(), 2.0 - CLASSES], dim=1),
}


def model_of(spec: JobSpec, workers: WorkerProcesses | None = None, shape=(FEATURES,)) -> LocalServerModel:
    task, network = build_setup(spec, shape)
    passes = workers and DistributedPasses(workers, spec, task, network.server_part)
    return LocalServerModel(task, network, CPU, passes)


def part_spec(name: str, **spec) -> JobSpec:
    model = {"architecture": f"training.server_parts:{name}", "options": {}, "cutLayer": "act"}
    return small_job.job_spec(model=model, **spec)


class Batch:
    """Smashed data and labels of a step, and a gradient of the client part."""

    def __init__(self, model: LocalServerModel, rows: int, seed: int = 1, kind: str = "classes") -> None:
        task, random = model._task, torch.Generator().manual_seed(seed)
        dtype = task.layout.dtype
        self.smashed = torch.randn(rows, task.layout.features, generator=random, dtype=dtype)
        self.labels = LABELS[kind][:rows].to(task.objective.label_dtype)
        self.gradient = torch.randn(task.client_gradient_elements, generator=random, dtype=dtype)
        self.seed = seed

    def run(self, model: LocalServerModel):
        return model.run(self.smashed, self.labels, self.seed)

    def apply(self, model: LocalServerModel, position: EpochPosition = ONLY_STEP):
        return model.apply([self.gradient], 1, position)

    def train(self, model: LocalServerModel):
        result = self.run(model)
        self.apply(model)
        return result
