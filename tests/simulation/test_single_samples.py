"""A batch of one sample, and networks that cannot train on one."""

import pytest
import torch
from torch import nn

from pslgs.simulation.api import simulate
from pslgs.spec import InputError
from pslgs.training.batchnorm import single_sample_explained
from simulation.jobs import job


@pytest.mark.parametrize(
    ("strategy", "sampling", "batch"),
    [
        ("FixedLocal", {"globalBatchSize": 718}, "step 3"),
        ("Global", {"globalBatchSize": 1}, "step 1"),
        ("FederatedAveraging", {"globalBatchSize": 1}, "client client-0"),
    ],
    ids=["a dry end", "batches of one", "a local batch of one"],
)
def test_a_run_that_cannot_go_on_says_what_to_do(strategy, sampling, batch):
    """Two clients hold 718 and 719 samples; a batch of 718 takes 359 from each."""
    model = {"architecture": "simulation.jobs:normed_vectors"}
    with pytest.raises(InputError, match=f"spec.sampling: gives {batch} a single sample, on which BatchNorm"):
        simulate(job(model=model, sampling=sampling, epochs=1), strategy=strategy, clients=2, partition="iid")


def test_another_error_stays_what_it_is():
    norm = nn.BatchNorm1d(4)
    with pytest.raises(ValueError, match="expected 2D or 3D"), single_sample_explained(norm, 2, "step 1"):
        norm(torch.zeros(2, 4, 1, 1))
    with pytest.raises(ZeroDivisionError), single_sample_explained(nn.Linear(1, 1), 1, "step 1"):
        1 / 0  # noqa: B018 - only fails
