"""A small network in float64, samples with labels of each kind, and losses; the entry points of a job."""

from collections import OrderedDict

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from pslgs.spec import JobSpec, parse_job

CLIENTS = ("client-0", "client-1", "client-2")
FEATURES = 5
CLASSES = 3
SAMPLES = 32
KINDS = {"classes": (CLASSES, "CrossEntropy"), "binary": (1, "BinaryCrossEntropy"), "values": (2, "Huber")}
"""Kind of labels -> outputs of the network, and a loss for them."""


def network(outputs: int) -> nn.Module:
    """BatchNorm behind the cut, and no bias before it: its gradient would be nothing but rounding."""
    return nn.Sequential(
        OrderedDict(
            first=nn.Linear(FEATURES, 6),
            act=nn.Tanh(),
            second=nn.Linear(6, 4, bias=False),
            norm=nn.BatchNorm1d(4),
            head=nn.Linear(4, outputs),
        )
    ).double()


WEIGHTS = "weights.safetensors"


def write_weights() -> None:
    """Write weights of the network's layers but the head to the file `WEIGHTS`."""
    with torch.random.fork_rng():
        torch.manual_seed(11)
        state = network(CLASSES).state_dict()
    save_file({name: each for name, each in state.items() if not name.startswith("head")}, WEIGHTS)


def single_network(outputs: int) -> nn.Module:
    return network(outputs).float()


class Samples:
    """Vectors with labels of a kind; classes are rarer, the higher their number."""

    def __init__(self, kind: str, seed: int = 3) -> None:
        rng = np.random.default_rng(seed)
        numbers = rng.choice(CLASSES, SAMPLES, p=[0.6, 0.3, 0.1])
        numbers[:CLASSES] = range(CLASSES)
        self._vectors = torch.from_numpy(rng.normal(size=(SAMPLES, FEATURES)).astype(np.float32))
        self._vectors[:, 0] += torch.from_numpy(numbers)
        values = torch.stack([self._vectors.sum(dim=1), 3 * self._vectors[:, 1]], dim=1)
        labels = {
            "classes": torch.from_numpy(numbers),
            "binary": torch.from_numpy((numbers > 0).astype(np.int64)),
            "values": values,
        }
        self.labels = labels[kind]

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self._vectors[index], self.labels[index]


def brier(outputs: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """The mean squared distance of the probabilities from the labels."""
    wanted = nn.functional.one_hot(classes, outputs.shape[1]).to(outputs.dtype)
    return (outputs.softmax(dim=1) - wanted).square().sum(dim=1).mean()


def log_cosh(outputs: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """The mean of log cosh of the errors."""
    return (outputs - values).cosh().log().mean()


def job_spec(kind: str = "classes", **spec) -> JobSpec:
    """Train three clients for three epochs, each of four global batches of 8 samples."""
    outputs, loss = KINDS[kind]
    source = {"format": "Custom", "entrypoint": "exactness.small_job:Samples"}
    model = {
        "architecture": "exactness.small_job:network",
        "options": {"outputs": outputs},
        "cutLayer": "act",
    }
    data = {
        "train": source | {"options": {"kind": kind}},
        "evaluation": source | {"options": {"kind": kind, "seed": 4}},
        "partition": {"scheme": "IID", "clients": len(CLIENTS)},
    }
    manifest = {
        "apiVersion": "pslgs.dev/v1alpha1",
        "kind": "SplitTrainingJob",
        "metadata": {"name": "options"},
        "spec": {
            "loss": loss,
            "epochs": 3,
            "sampling": {"globalBatchSize": 8, "seed": 5},
        }
        | spec,
    }
    manifest["spec"]["optimizer"] = {"learningRate": 0.1} | spec.get("optimizer", {})
    manifest["spec"]["model"] = model | spec.get("model", {})
    manifest["spec"]["data"] = data | spec.get("data", {})
    return parse_job(manifest).spec
