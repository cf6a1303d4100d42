"""The job whose distributed training must equal a plain loop."""

import copy

import torch
from torch import nn, optim

from pslgs.data.client_dataset import ClientDataset
from pslgs.spec import JobSpec, parse_job
from pslgs.splitting.network import build_network

CLIENTS = tuple(f"client-{i}" for i in range(5))

OPTIMIZERS = {
    "SGD": {"name": "SGD", "learningRate": 0.1, "momentum": 0.9, "weightDecay": 5e-4},
    "AdamW": {"name": "AdamW", "learningRate": 0.01, "weightDecay": 0.1, "schedule": {"name": "Cosine"}},
}


def manifest(optimizer: str, cut_layer: str = "block.first", **spec) -> dict:
    """One client has no samples, one has a single one (a property of this partition and seed)."""
    return {
        "apiVersion": "pslgs.dev/v1alpha1",
        "kind": "SplitTrainingJob",
        "metadata": {"name": "exact"},
        "spec": {
            "model": {"architecture": "exactness.double_precision:network", "cutLayer": cut_layer},
            "data": {
                "train": {"format": "Custom", "entrypoint": "exactness.double_precision:Images"},
                "partition": {
                    "scheme": "ExtendedDirichlet",
                    "clients": 5,
                    "classesPerClient": 2,
                    "concentration": 0.3,
                },
            },
            "epochs": 4,
            "optimizer": OPTIMIZERS[optimizer],
            "sampling": {"globalBatchSize": 12, "seed": SEED},
        }
        | spec,
    }


SEED = 25


def job_spec(optimizer: str, **changes) -> JobSpec:
    return parse_job(manifest(optimizer, **changes)).spec


def centralized(
    spec: JobSpec, datasets: dict[str, ClientDataset], batches: list[tuple[int, dict[str, tuple[int, int]]]]
) -> tuple[dict[str, torch.Tensor], optim.Optimizer, list[float]]:
    """Train the whole model with a plain loop over ``batches``: (epoch, client -> (offset, samples)) each."""
    network = build_network(spec.model, spec.sampling.seed)
    model = network.whole_model()
    parameters = [*network.client_part.parameters(), *network.server_part.parameters()]
    settings = spec.optimizer
    if settings.name == "SGD":
        optimizer: optim.Optimizer = optim.SGD(
            parameters, settings.learning_rate, settings.momentum, weight_decay=settings.weight_decay
        )
        schedule = None
    else:
        optimizer = optim.AdamW(parameters, settings.learning_rate, weight_decay=settings.weight_decay)
        schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=spec.epochs)
    losses, epoch_before = [], 1
    model.train()
    for epoch, local_batches in batches:
        if schedule and epoch != epoch_before:
            schedule.step()
        epoch_before = epoch
        loaded = [datasets[client].batch(epoch, *local_batches[client]) for client in sorted(local_batches)]
        inputs = torch.cat([batch.inputs for batch in loaded]).double()
        loss = nn.functional.cross_entropy(model(inputs), torch.cat([batch.labels for batch in loaded]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return {name: t.detach().clone() for name, t in network.named_tensors().items()}, optimizer, losses


def assert_equal_states(one: optim.Optimizer, other: optim.Optimizer) -> None:
    first, second = copy.deepcopy(one.state_dict()), copy.deepcopy(other.state_dict())
    assert first["state"].keys() == second["state"].keys()
    for index, state in first["state"].items():
        for key, value in state.items():
            torch.testing.assert_close(
                torch.as_tensor(value), torch.as_tensor(second["state"][index][key]), rtol=1e-10, atol=1e-10
            )
