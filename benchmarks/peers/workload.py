"""What the programs of the peers train, in plain PyTorch: data, network, schedule and the server's step.

The programs are what a user of either system writes to train what `job.yaml` says, and this module is the
part that they share.  Their server holds all parameters, as ours does; clients keep data only.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

CLIENTS, GLOBAL_BATCH, SEED = 4, 64, 0

Parameters = dict[str, Tensor]


class Slice(NamedTuple):
    """The samples of a client in a step: so many of its order of the epoch, from the offset on."""

    epoch: int
    offset: int
    size: int


class Smashed(NamedTuple):
    """A client's activations at the cut layer (samples, 128), and its labels."""

    activations: Tensor
    labels: Tensor


@cache
def digits(*, test: bool) -> tuple[Tensor, Tensor]:
    """Return images (samples, 64) and labels; every fifth digit is for tests."""
    loaded = load_digits()
    chosen = (np.arange(len(loaded.target)) % 5 == 0) == test
    images = torch.from_numpy(loaded.data[chosen] / 16).float()
    return images, torch.from_numpy(loaded.target[chosen]).long()


def build_parts() -> tuple[nn.Sequential, nn.Sequential]:
    """Return the client part and the server part, with the same weights in each process."""
    torch.manual_seed(SEED)
    client_part = nn.Sequential(nn.Linear(64, 128), nn.ReLU())
    return client_part, nn.Sequential(nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))


class Site:
    """A client: its data and a client part without a state of its own."""

    def __init__(self, client: int) -> None:
        torch.set_num_threads(1)
        images, labels = digits(test=False)
        mine = np.array_split(np.random.default_rng(SEED).permutation(len(labels)), CLIENTS)[client]
        self.images, self.labels = images[mine], labels[mine]
        self.client, self.part = client, build_parts()[0]

    def forward(self, parameters: Parameters, piece: Slice) -> Smashed:
        """Run the client part on a slice of the data."""
        self.part.load_state_dict(parameters)
        order = np.random.default_rng((SEED, self.client, piece.epoch)).permutation(len(self.labels))
        rows = order[piece.offset : piece.offset + piece.size]
        return Smashed(self.part(self.images[rows]), self.labels[rows])

    def backward(self, smashed: Smashed, cut_gradient: Tensor) -> Parameters:
        """Return the gradient of the client part's parameters."""
        self.part.zero_grad()
        torch.autograd.backward(smashed.activations, cut_gradient)
        return {name: _gradient(each) for name, each in self.part.named_parameters()}


class Trainer:
    """The server: both parts, the optimizer and the schedule."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        self.client_part, self.server_part = build_parts()
        parameters = [*self.client_part.parameters(), *self.server_part.parameters()]
        self.optimizer = torch.optim.SGD(parameters, lr=0.05, momentum=0.9, weight_decay=1e-4)
        self.log = Path(os.environ["PEERS_LOG"])

    @property
    def parameters(self) -> Parameters:
        """Parameters of the client part."""
        return self.client_part.state_dict()

    def slices(self, epochs: int) -> Iterator[dict[int, Slice]]:
        """Yield which samples of which clients each step takes, by global sampling."""
        sizes = [len(each) for each in np.array_split(np.arange(len(digits(test=False)[1])), CLIENTS)]
        rng = np.random.default_rng(SEED)
        for epoch in range(epochs):
            pool = rng.permutation(np.repeat(np.arange(CLIENTS), sizes))
            offsets = np.zeros(CLIENTS, int)
            for batch in np.array_split(pool, -(-len(pool) // GLOBAL_BATCH)):
                counts = np.bincount(batch, minlength=CLIENTS)
                yield {
                    client: Slice(epoch, int(offsets[client]), int(counts[client]))
                    for client in np.flatnonzero(counts).tolist()
                }
                offsets += counts

    def cut_gradients(self, answers: Mapping[int, Smashed]) -> dict[int, Tensor]:
        """Run the server part on what the clients sent; return the gradient for each of them."""
        smashed = torch.cat([each.activations for each in answers.values()]).detach().requires_grad_()
        labels = torch.cat([each.labels for each in answers.values()])
        self.optimizer.zero_grad()
        self.loss = nn.functional.cross_entropy(self.server_part(smashed), labels)
        torch.autograd.backward(self.loss)
        pieces = torch.split(_gradient(smashed), [len(each.labels) for each in answers.values()])
        return dict(zip(answers, pieces, strict=True))

    def step(self, gradients: Mapping[int, Parameters]) -> None:
        """Sum the clients' gradients, update both parts and record the step."""
        for name, parameter in self.client_part.named_parameters():
            parameter.grad = torch.stack([each[name] for each in gradients.values()]).sum(dim=0)
        self.optimizer.step()
        self._record(kind="step", time=time.time(), loss=self.loss.item(), clients=len(gradients))

    def finish(self) -> None:
        """Record the accuracy on the test data."""
        images, labels = digits(test=True)
        with torch.no_grad():
            predicted = self.server_part(self.client_part(images)).argmax(dim=1)
        self._record(kind="evaluation", accuracy=(predicted == labels).float().mean().item())

    def _record(self, **values: str | float) -> None:
        with self.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")


def _gradient(tensor: Tensor) -> Tensor:
    if tensor.grad is None:
        raise ValueError("the loss does not depend on it")
    return tensor.grad
