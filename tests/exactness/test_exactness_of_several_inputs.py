"""A network with several inputs, trained in parts, equals a plain loop that calls it with them by name."""

from pathlib import Path

import pytest
import torch

from exactness.runs import datasets_of, train
from exactness.several_inputs import job_spec, plain_loop
from pslgs.spec import JobSpec
from pslgs.training.checkpoint import CheckpointStore


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(job_spec(), id="all-inputs-before-the-cut"),
        pytest.param(job_spec("people", image={"mayLeaveSite": True}), id="the-image-behind-the-cut"),
    ],
)
def test_a_distributed_training_equals_a_plain_loop(spec: JobSpec, tmp_path: Path) -> None:
    datasets = datasets_of(spec, tmp_path)
    trained = train(spec, datasets)
    assert len(trained.batches) == 9
    model, losses = plain_loop(spec, datasets, trained.batches)
    assert trained.losses == pytest.approx(losses, rel=1e-10)
    expected = model.state_dict()
    for name, tensor in trained.tensors.items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-10, atol=1e-10, msg=name)


def test_standardised_inputs_have_mean_0_and_deviation_1_over_all_clients(tmp_path: Path) -> None:
    datasets = datasets_of(job_spec(), tmp_path)
    batches = [data.in_order(0, data.samples).inputs for data in datasets.training.values()]
    people = torch.cat([batch["person"] for batch in batches]).double()
    torch.testing.assert_close(people.mean(0), torch.zeros(2).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(people.std(0, unbiased=False), torch.ones(2).double())
    assert torch.cat([batch["image"] for batch in batches]).max() <= 1


def test_a_resumed_training_ends_with_the_same_bits(tmp_path: Path) -> None:
    spec = job_spec(checkpoint={"everySteps": 4})
    datasets, store = datasets_of(spec, tmp_path), CheckpointStore(tmp_path / "checkpoints", keep=1)
    whole, resumed = train(spec, datasets, store), train(spec, datasets, store)
    assert len(resumed.batches) == 5
    assert resumed.losses == whole.losses[4:]
    assert resumed.evaluations == whole.evaluations[1:]
    for name, tensor in resumed.tensors.items():
        assert torch.equal(tensor, whole.tensors[name])
