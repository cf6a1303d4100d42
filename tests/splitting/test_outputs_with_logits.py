"""A network may return an object, mapping or tuple that holds its logits."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from pslgs.splitting.layout import infer_layout
from pslgs.splitting.split_network import join_parts, split_at


@dataclass
class Output:
    loss: Tensor | None
    logits: Tensor


class Head(nn.Module):
    """A classifier that returns its logits in some form."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.first, self.last, self.form = nn.Linear(4, 5), nn.Linear(5, 3), form

    def forward(self, samples: Tensor) -> object:
        logits = self.last(self.first(samples))
        return {
            "object": Output(None, logits),
            "mapping": {"hidden": None, "logits": logits},
            "tuple": (logits, None),
            "tensor": logits,
        }[self.form]


class Last(nn.Module):
    def __init__(self, form: str) -> None:
        super().__init__()
        self.last, self.form = nn.Linear(5, 3), form

    def forward(self, smashed: Tensor) -> object:
        logits = self.last(smashed)
        return {"object": Output(None, logits), "mapping": {"logits": logits}, "tuple": (logits, 1)}[
            self.form
        ]


@pytest.mark.parametrize("form", ["object", "mapping", "tuple", "tensor"])
def test_the_logits_are_the_output_of_a_network_that_is_cut(form: str) -> None:
    network, samples = Head(form), torch.rand(2, 4)
    expected = network.last(network.first(samples))
    split = split_at(network, "first")
    assert torch.equal(split.whole_model()(samples), expected)
    assert infer_layout(split, [4]).output_shape == (3,)


@pytest.mark.parametrize("form", ["object", "mapping", "tuple"])
def test_the_logits_are_the_output_of_two_given_parts(form: str) -> None:
    last = Last(form)
    split = join_parts(nn.Linear(4, 5), last)
    assert list(split.names) == ["client.weight", "client.bias", "server.last.weight", "server.last.bias"]
    assert infer_layout(split, [4]).output_shape == (3,)
