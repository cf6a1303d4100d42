import json

import pytest
import torch

from pslgs.training.checkpoint import CheckpointError, CheckpointStore
from pslgs.training.optimizer import load_optimizer, optimizer_tensors

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "sgd with momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4),
    "adam": lambda p: torch.optim.Adam(p, lr=0.003, betas=(0.8, 0.99), amsgrad=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=1e-3, weight_decay=0.05),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.9),
    "rmsprop without momentum": lambda p: torch.optim.RMSprop(p, lr=0.01),
    "two groups": lambda p: torch.optim.AdamW([{"params": p[:1], "lr": 0.5}, {"params": p[1:]}], lr=0.1),
}


def parameters():
    random = torch.Generator().manual_seed(0)
    shapes = [(3, 2), (4,), ()]
    return [torch.nn.Parameter(torch.randn(shape, generator=random, dtype=torch.float64)) for shape in shapes]


def train(optimizer, params, steps):
    for step in range(steps):
        optimizer.zero_grad()
        # The last parameter gets no gradient at first, so its state comes later than the others'.
        used = params if step > 2 else params[:-1]
        sum((param * param * (step + 1)).sin().sum() for param in used).backward()
        optimizer.step()


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
@pytest.mark.parametrize("steps", [0, 2, 5], ids=["fresh", "partly used", "used"])
def test_training_goes_on_exactly_after_a_checkpoint(tmp_path, make, steps):
    original = parameters()
    first = make(original)
    train(first, original, steps)
    tensors, document = optimizer_tensors(first)
    store = CheckpointStore(tmp_path, keep=1)
    store.save(steps, {"optimizer": tensors}, {"optimizer": document})

    copies = [torch.nn.Parameter(param.detach().clone()) for param in original]
    second = make(copies)
    loaded = store.load_latest()
    load_optimizer(second, loaded.tensors["optimizer"], loaded.state["optimizer"])

    assert second.state_dict()["param_groups"] == first.state_dict()["param_groups"]
    train(first, original, 6)
    train(second, copies, 6)
    assert all(torch.equal(one, other) for one, other in zip(original, copies, strict=True))


def test_a_changed_learning_rate_is_restored():
    params = parameters()
    optimizer = torch.optim.SGD(params, lr=0.1)
    optimizer.param_groups[0]["lr"] = 0.025
    _, document = optimizer_tensors(optimizer)
    other = torch.optim.SGD(parameters(), lr=0.1)

    load_optimizer(other, {}, json.loads(json.dumps(document)))

    assert other.param_groups[0]["lr"] == 0.025


def test_two_optimizers_with_one_state_do_not_share_memory():
    params = parameters()
    first = torch.optim.SGD(params, lr=0.1, momentum=0.9)
    train(first, params, 3)
    tensors, document = optimizer_tensors(first)
    before = tensors["state.0.momentum_buffer"].clone()
    copies = parameters()
    second = torch.optim.SGD(copies, lr=0.1, momentum=0.9)
    load_optimizer(second, tensors, document)

    train(second, copies, 2)

    assert torch.equal(tensors["state.0.momentum_buffer"], before)


def test_a_state_of_another_model_is_refused():
    tensors, document = optimizer_tensors(torch.optim.SGD(parameters(), lr=0.1))
    other = torch.optim.SGD(parameters()[:2], lr=0.1)

    with pytest.raises(CheckpointError, match="does not fit the job"):
        load_optimizer(other, tensors, document)


def sgd(params, momentum=0.9):
    return torch.optim.SGD(params, lr=0.1, momentum=momentum)


def adam(params):
    return torch.optim.Adam(params, lr=0.1)


def rmsprop(params):
    return torch.optim.RMSprop(params, lr=0.1, momentum=0.9)


@pytest.mark.parametrize(
    ("kept", "wanted", "words"),
    [
        (sgd, adam, "its momentum is 0.9, the job's Adam has None"),
        (adam, sgd, "its momentum is None, the job's SGD has 0.9"),
        (sgd, lambda params: sgd(params, 0.5), "its momentum is 0.9, the job's SGD has 0.5"),
        (sgd, rmsprop, "its nesterov is False, the job's RMSprop has None"),
        (
            adam,
            lambda params: torch.optim.AdamW(params, lr=0.1),
            "weight_decay is 0, the job's AdamW has 0.01",
        ),
    ],
    ids=["SGD to Adam", "Adam to SGD", "another momentum", "SGD to RMSprop", "Adam to AdamW"],
)
def test_a_state_of_another_optimizer_is_refused_with_the_setting_that_differs(kept, wanted, words):
    params = parameters()
    first = kept(params)
    train(first, params, 4)
    tensors, document = optimizer_tensors(first)

    with pytest.raises(CheckpointError, match=words):
        load_optimizer(wanted(parameters()), tensors, document)


@pytest.mark.parametrize("make", [sgd, adam, rmsprop], ids=["SGD", "Adam", "RMSprop"])
def test_a_missing_or_misshapen_tensor_of_the_state_is_named(make):
    params = parameters()
    first = make(params)
    train(first, params, 4)
    tensors, document = optimizer_tensors(first)

    for name in tensors:
        rest = {other: tensor for other, tensor in tensors.items() if other != name}
        with pytest.raises(CheckpointError, match=f"the tensor {name} is missing"):
            load_optimizer(make(parameters()), rest, document)
        with pytest.raises(CheckpointError, match=rf"the tensor {name} has the shape \[7\]"):
            load_optimizer(make(parameters()), rest | {name: torch.zeros(7)}, document)
