"""Networks that begin with an Embedding: probed, cut and trained with integers."""

import pytest
import torch
from torch import nn

from pslgs.spec.errors import InputError
from pslgs.spec.job import JobSpec
from pslgs.training.client_step import ClientStep
from pslgs.training.local_server_model import LocalServerModel
from pslgs.training.profile import profile_network
from pslgs.training.setup import build_setup


def classifier() -> nn.Module:
    return nn.Sequential(nn.Embedding(10, 4), nn.Flatten(), nn.Linear(20, 3))


def spec(input_type="Integer") -> JobSpec:
    return JobSpec.model_validate(
        {
            "model": {"architecture": "splitting.test_integer_inputs:classifier", "cutLayer": "1"},
            "data": {"train": {"format": "NumPy", "path": "/nowhere"}, "inputType": input_type},
            "epochs": 1,
        }
    )


def test_smashed_data_are_floats_of_integer_inputs():
    setup, network = build_setup(spec(), (5,))
    assert (setup.input_dtype, setup.layout.dtype, setup.layout.features) == (torch.int64, torch.float32, 20)
    assert profile_network(network, (5,), setup.input_dtype).client_parameters == 40
    step = ClientStep(setup, network.client_part, "edge-0")
    tokens = torch.tensor([[1, 2, 3, 9, 0], [1, 1, 1, 1, 1]])
    step.begin(1, 0)
    smashed = step.forward(tokens)
    step.backward(torch.ones_like(smashed))
    rows = step.gradient().reshape(10, 4)[:, 0].tolist()
    assert rows == [1, 6, 1, 1, 0, 0, 0, 0, 0, 1]
    server = LocalServerModel(setup, network, torch.device("cpu"))
    assert server.score_inputs(tokens, torch.tensor([[0], [1]])).samples == 2


def test_a_model_with_an_embedding_asks_for_the_declaration():
    with pytest.raises(InputError, match=r"does not accept samples .*; set spec.data.inputType: Integer"):
        build_setup(spec("Float"), (5,))


@pytest.mark.parametrize("token", [10, -1])
def test_a_token_without_an_embedding_is_told_with_the_range_of_the_batch(token):
    setup, network = build_setup(spec(), (5,))
    step = ClientStep(setup, network.client_part, "edge-0")
    step.begin(1, 0)
    with pytest.raises(InputError, match=rf"spec.data: holds numbers from .*{token}.* no embedding"):
        step.forward(torch.tensor([[1, 2, 3, token, 0]]))
