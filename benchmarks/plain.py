"""The plain PyTorch loop: the same network, batches and optimizer in one process on all cores."""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import torch

from pslgs.data.loading import open_all_training_data
from pslgs.spec import load_job
from pslgs.training.optimizer import build_optimizer
from pslgs.training.setup import build_setup
from pslgs.training.torch_thread import configure_torch


def main() -> None:
    """Train the manifest named by the first argument; print the seconds of each step as JSON."""
    configure_torch(len(os.sched_getaffinity(0)))
    spec = load_job(Path(sys.argv[1])).spec
    pooled = spec.data.model_copy(update={"partition": None})
    with tempfile.TemporaryDirectory() as cache:
        data = open_all_training_data(pooled, ["all"], seed=spec.sampling.seed, cache=Path(cache))[0]
    task, network = build_setup(spec, data.input_shape)
    model = network.whole_model().train()
    optimizer = build_optimizer(spec.optimizer, model.parameters())
    batch_size, seconds = spec.sampling.global_batch_size, []
    for epoch in range(1, spec.epochs + 1):
        for offset in range(0, data.samples - batch_size + 1, batch_size):
            begun = time.perf_counter()
            batch = data.batch(epoch, offset, batch_size)
            loss = task.objective.mean_loss(model(batch.inputs), task.objective.as_labels(batch.labels))
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
            loss.item()
            seconds.append(time.perf_counter() - begun)
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
