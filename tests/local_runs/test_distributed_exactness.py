"""Distributed training in processes equals a centralized loop over the same batches."""

import pytest
import torch
from safetensors.torch import load_file

from exactness.job import CLIENTS, assert_equal_states, centralized, manifest
from local_runs.runs import described, pslgs_here, steps, write_manifest
from pslgs.data.loading import open_all_training_data
from pslgs.spec import parse_job
from pslgs.training.checkpoint import CheckpointStore
from pslgs.training.local_server_model import LocalServerModel
from pslgs.training.optimizer import load_optimizer
from pslgs.training.setup import build_setup

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("optimizer", ["SGD", "AdamW"], ids=str)
def test_twenty_steps_over_grpc_equal_a_centralized_loop(tmp_path, optimizer):
    document = manifest(optimizer)
    result = pslgs_here("run", write_manifest(tmp_path, document), "--output", "run", cwd=tmp_path)
    run = tmp_path / "run"
    assert result.returncode == 0, described(result, run)

    spec = parse_job(document).spec
    opened = open_all_training_data(spec.data, CLIENTS, seed=spec.sampling.seed, cache=tmp_path)
    batches = [(step.epoch, dict(step.allocation)) for step in steps(run)]
    assert len(batches) == 20
    tensors, plain_optimizer, losses = centralized(spec, dict(zip(CLIENTS, opened, strict=True)), batches)

    assert [step.loss for step in steps(run)] == pytest.approx(losses, rel=1e-10)
    model = load_file(run / "model.safetensors")
    assert model.keys() == tensors.keys()
    for name, tensor in model.items():
        torch.testing.assert_close(tensor, tensors[name], rtol=1e-10, atol=1e-10, msg=name)
    checkpoint = CheckpointStore(run / "checkpoints", keep=1).load_latest()
    assert checkpoint is not None
    restored = LocalServerModel(*build_setup(spec, (1, 8, 8)), torch.device("cpu"))
    load_optimizer(restored.optimizer, checkpoint.tensors["optimizer"], checkpoint.state["optimizer"])
    assert_equal_states(restored.optimizer, plain_optimizer)
