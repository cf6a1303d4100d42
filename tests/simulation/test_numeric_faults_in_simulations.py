"""Simulations end like runs when their numbers are not finite."""

import math

import numpy as np
import pytest

from pslgs import simulate
from pslgs.simulation.setup import SimulationOptions
from pslgs.spec.exit_codes import ExitCode
from simulation.jobs import job

TOO_FAST = {"name": "SGD", "learningRate": 1e30}


@pytest.mark.parametrize("strategy", ["Global", "FederatedAveraging"], ids=str)
def test_a_training_that_diverges_ends_with_that_and_commits_no_such_step(strategy):
    result = simulate(job(optimizer=TOO_FAST), strategy=strategy)
    assert result.exit_code is ExitCode.DIVERGED
    assert "the training diverged" in result.finish.message
    assert "lower spec.optimizer.learningRate" in result.finish.message
    assert all(map(math.isfinite, result.steps.loss))


@pytest.fixture
def one_bad_sample(tmp_path):
    """Three clients with data of their own; one value of one sample of ``b`` is absurd."""
    for client in ("a", "b", "c"):
        folder = tmp_path / client
        folder.mkdir()
        samples = np.random.default_rng(ord(client)).normal(size=(20, 64)).astype(np.float32)
        if client == "b":
            samples[13, 5] = 3e38
        np.save(folder / "x.npy", samples)
        np.save(folder / "y.npy", np.arange(20) % 10)
    data = {"train": {"format": "NumPy", "path": f"{tmp_path}/{{client}}"}}

    def run(**faults):
        sampling = {"globalBatchSize": 12, "seed": 3}
        manifest = job(data=data, sampling=sampling, faultTolerance=faults, evaluateEveryEpochs=1)
        return simulate(manifest, options=SimulationOptions(client_ids=("a", "b", "c")))

    return run


def test_a_client_with_one_bad_sample_is_dropped_and_the_others_train_on(one_bad_sample):
    result = one_bad_sample()
    assert result.exit_code is ExitCode.FINISHED
    assert all(map(math.isfinite, result.steps.loss))
    assert all(tensor.isfinite().all() for tensor in result.model.values())


def test_a_job_may_fail_because_of_one_bad_sample(one_bad_sample):
    result = one_bad_sample(onNonFinite="Fail")
    assert result.exit_code is ExitCode.NON_FINITE
    assert result.finish.message.startswith("client b sent smashed data with values")


def test_steps_with_the_bad_sample_may_be_skipped(one_bad_sample):
    result = one_bad_sample(onNonFinite="SkipStep")
    assert result.exit_code is ExitCode.FINISHED
    assert len(result.steps.loss) == 2 * (5 - 1)


def test_a_job_whose_only_clients_were_dropped_ends_for_lack_of_clients(one_bad_sample):
    result = one_bad_sample(minAvailableClients=3)
    assert result.exit_code is ExitCode.QUORUM_LOST
