"""A network in float64 that takes an image, two numbers and tokens with a mask; the entry points of a job."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from exactness.plain_loop import Batches, Datasets
from pslgs.spec import JobSpec, parse_job
from pslgs.splitting.network import build_network

CLIENTS = ("client-0", "client-1", "client-2")
SAMPLES = 36
INPUTS = (
    {"name": "image", "transforms": [{"name": "RandomHorizontalFlip"}]},
    {"name": "person", "standardize": "PerFeature"},
    {"name": "tokens", "type": "Integer"},
    {"name": "mask", "type": "Integer"},
)


class Clinic(nn.Module):
    """BatchNorm behind the cut, and a dense layer before it that takes numbers only."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(9, 3)
        self.people = nn.Linear(2, 3)
        self.images = nn.Conv2d(1, 3, 3)
        self.norm = nn.BatchNorm1d(9, affine=False)
        self.head = nn.Linear(9, 2)

    def forward(self, image: Tensor, mask: Tensor, tokens: Tensor, person: Tensor) -> Tensor:
        shown = mask.unsqueeze(2).to(person.dtype)
        words = (self.words(tokens) * shown).sum(1) / shown.sum(1).clamp(min=1)
        people = torch.tanh(self.people(person))
        images = self.images(image)
        return self.head(self.norm(torch.cat([words, people, images.tanh().mean((2, 3))], dim=1)))


def network() -> nn.Module:
    return Clinic().double()


class Patients:
    """Patients whose label follows their age; a value of each input by its name."""

    def __init__(self, seed: int = 3) -> None:
        rng = np.random.default_rng(seed)
        self.labels = rng.integers(0, 2, SAMPLES)
        self._images = rng.integers(0, 256, (SAMPLES, 5, 5), dtype=np.uint8)
        self._people = rng.normal([[50, 0]], [[20, 1]], (SAMPLES, 2)) + 20 * self.labels[:, None]
        self._tokens = rng.integers(0, 9, (SAMPLES, 4))

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, index: int) -> tuple[dict[str, object], int]:
        return {
            "mask": self._tokens[index] > 0,
            "image": torch.from_numpy(self._images[index]),
            "person": self._people[index],
            "tokens": torch.from_numpy(self._tokens[index]),
        }, int(self.labels[index])


def job_spec(
    cut_layer: str = "images", *, image: Mapping[str, object] | None = None, **spec: object
) -> JobSpec:
    """Train three clients for three epochs, each of three global batches of 12 samples."""
    inputs = [INPUTS[0] | (image or {}), *INPUTS[1:]]
    source = {"format": "Custom", "entrypoint": "exactness.several_inputs:Patients"}
    return parse_job(
        {
            "apiVersion": "pslgs.dev/v1alpha1",
            "kind": "SplitTrainingJob",
            "metadata": {"name": "clinic"},
            "spec": {
                "model": {"architecture": "exactness.several_inputs:network", "cutLayer": cut_layer},
                "data": {
                    "train": source,
                    "evaluation": source | {"options": {"seed": 4}},
                    "partition": {"scheme": "IID", "clients": len(CLIENTS)},
                    "inputs": inputs,
                },
                "epochs": 3,
                "optimizer": {"learningRate": 0.1},
                "sampling": {"globalBatchSize": 12, "seed": 5},
            }
            | spec,
        }
    ).spec


def plain_loop(spec: JobSpec, datasets: Datasets, batches: Batches) -> tuple[nn.Module, list[float]]:
    """Train the whole network, uncut, with SGD."""
    names = [each.name for each in spec.data.inputs]
    model = Clinic().double()
    model.load_state_dict(build_network(spec.model, spec.sampling.seed, names).named_tensors())
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    losses = []
    for epoch, taken in batches:
        loaded = [datasets.training[client].batch(epoch, *taken[client]) for client in sorted(taken)]
        inputs = {name: torch.cat([batch.inputs[name] for batch in loaded]) for name in names}
        outputs = model(
            image=inputs["image"].double(),
            person=inputs["person"].double(),
            tokens=inputs["tokens"],
            mask=inputs["mask"],
        )
        loss = nn.functional.cross_entropy(outputs, torch.cat([batch.labels for batch in loaded]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return model, losses
