"""BatchNorm statistics that are estimated anew for an evaluation."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pslgs import simulate
from pslgs.simulation.evaluator import Recalibration
from pslgs.simulation.setup import SimulationOptions, build_simulation_setup
from pslgs.training.batchnorm import batch_norms
from pslgs.training.local_server_model import LocalServerModel
from simulation.jobs import document, job

NORMALIZED = {
    "architecture": "cnn",
    "options": {"image": [1, 8, 8], "channels": 1, "width": 4},
    "cutLayer": "conv1",
}
TWICE = SimulationOptions(recalibration_batches=8)


def server_model(cast):
    return LocalServerModel(cast.task, cast.network, torch.device("cpu"))


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["FixedLocal", "FederatedAveraging"], ids=str)
def test_training_is_the_same_with_and_without(strategy):
    one, other = (
        simulate(job(model=NORMALIZED), strategy=strategy, partition="severe", options=options)
        for options in (None, TWICE)
    )
    assert other.steps.loss.tobytes() == one.steps.loss.tobytes()
    assert [each.accuracy for each in other.evaluations] == [each.accuracy for each in one.evaluations]
    for name, tensor in one.model.items():
        assert torch.equal(other.model[name], tensor), name
    assert one.recalibrated_accuracy is None
    assert 0 <= other.recalibrated_accuracy <= 1
    assert other.evaluations[-1].recalibrated.loss != other.evaluations[-1].loss


@pytest.mark.slow
def test_evaluations_at_the_clients_are_scored_again_too():
    source = {"format": "ScikitLearn", "name": "digits"}
    data = document()["spec"]["data"] | {"evaluation": source | {"split": "Test", "at": "Clients"}}
    there, at_server = (
        simulate(job(model=NORMALIZED, **changed), options=TWICE).evaluations[-1].recalibrated
        for changed in ({"data": data}, {})
    )
    assert (there.samples, there.accuracy) == (at_server.samples, at_server.accuracy)
    assert there.loss == pytest.approx(at_server.loss, rel=1e-5)


@pytest.mark.slow
def test_a_network_without_batch_norm_has_nothing_to_recalibrate():
    assert simulate(job(), options=TWICE).recalibrated_accuracy is None


def test_the_statistics_are_those_of_the_pooled_data():
    """One batch of all samples: mean and variance are those that the first BatchNorm sees of them."""
    cast = build_simulation_setup(
        job(model=NORMALIZED).spec, None, Path("~/.cache/pslgs").expanduser(), evaluated=False
    )
    datasets = {name: client.training for name, client in cast.clients.items()}
    first = batch_norms(cast.network.server_part)[0]
    before = [buffer.clone() for buffer in first.buffers()]
    seen = []
    hook = first.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    recalibration = Recalibration(cast.task, server_model(cast), datasets, 1_437, 9)
    mean, variance, number, *_ = recalibration.statistics(step=1)
    hook.remove()
    assert (number, len(seen), len(seen[0])) == (1, 1, 1_437)
    torch.testing.assert_close(mean, seen[0].mean(dim=(0, 2, 3)))
    torch.testing.assert_close(variance, seen[0].var(dim=(0, 2, 3)))
    assert all(torch.equal(*pair) for pair in zip(before, first.buffers(), strict=True))
    assert (first.momentum, first.training) == (0.1, True)


def test_each_of_several_batches_counts_alike():
    cast = build_simulation_setup(
        job(model=NORMALIZED).spec, None, Path("~/.cache/pslgs").expanduser(), evaluated=False
    )
    datasets = {name: client.training for name, client in cast.clients.items()}
    first = batch_norms(cast.network.server_part)[0]
    means = []
    hook = first.register_forward_pre_hook(
        lambda _, arguments: means.append(arguments[0].mean(dim=(0, 2, 3)).numpy())
    )
    mean, *_ = Recalibration(cast.task, server_model(cast), datasets, 64, 5).statistics(step=1)
    hook.remove()
    assert len(means) == 5
    np.testing.assert_allclose(mean.numpy(), np.mean(means, axis=0), rtol=1e-4, atol=1e-6)
