from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pslgs.data.arrays import ArraySource
from pslgs.data.client_dataset import ClientDataset, DatasetOwner
from pslgs.data.transforms import Pipeline, training_pipeline
from pslgs.spec.data import DataSpec
from pslgs.spec.errors import InputError

CROP_AND_FLIP = ({"name": "RandomCrop", "size": 8, "padding": 4}, {"name": "RandomHorizontalFlip"})


@dataclass(eq=False)
class Counting:
    """A source that remembers which samples were decoded."""

    labels: np.ndarray
    class_names: tuple[str, ...] | None = None
    decoded: list[int] = field(default_factory=list)
    is_thread_safe: bool = True
    has_text_labels = False

    def __len__(self) -> int:
        return len(self.labels)

    def load(self, index: int) -> Tensor:
        self.decoded.append(index)
        return torch.randint(
            0, 256, (3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(index)
        )


def pipeline(*transforms) -> Pipeline:
    source = {"format": "ScikitLearn", "name": "digits"}
    return training_pipeline(DataSpec.model_validate({"train": source, "transforms": transforms}))


def view(source, index, *transforms, client="edge-0", seed=0) -> ClientDataset:
    indices = np.array(index, dtype=np.int64)
    return ClientDataset(
        source, indices, pipeline(*transforms), DatasetOwner(client, seed, "spec.data.train")
    )


@pytest.fixture
def source() -> Counting:
    return Counting(np.arange(40) % 7)


def test_a_view_has_the_labels_of_its_index(source):
    local = view(source, [3, 8, 21])
    assert local.samples == 3
    assert local.labels.tolist() == [3, 1, 0]
    assert local.input_shape == (3, 8, 8)


def test_only_the_samples_of_a_batch_are_decoded(source):
    local = view(source, [3, 8, 21, 30])
    source.decoded.clear()
    local.in_order(1, 2)
    assert source.decoded == [8, 21]
    source.decoded.clear()
    local.batch(0, 2, 2)
    assert source.decoded == [[3, 8, 21, 30][position] for position in local.order(0)[2:]]


def test_a_view_holds_an_index_and_no_samples(source):
    local = view(source, range(40))
    local.batch(0, 0, 40)
    held = [value for value in vars(local).values() if isinstance(value, Tensor)]
    assert held == []


def test_a_batch_holds_the_slice_of_the_epochs_order(source):
    local = view(source, range(10, 30))
    batch = local.batch(3, 5, 6)
    positions = local.order(3)[5:11]
    expected = [source.load(10 + int(position)) for position in positions]
    assert torch.allclose(batch.inputs, torch.stack(expected) / 255)
    assert batch.labels.tolist() == source.labels[10 + positions].tolist()
    assert (batch.inputs.dtype, batch.labels.dtype) == (torch.float32, torch.int64)


def test_targets_stay_float(source):
    local = view(Counting(np.linspace(0, 1, 5, dtype=np.float32)), range(5))
    assert local.in_order(0, 5).labels.dtype == torch.float32
    several = view(Counting(np.ones((5, 2), np.float32)), [4])
    assert several.in_order(0, 1).labels.shape == (1, 2)


def test_the_order_is_a_permutation_of_the_epoch_the_client_and_the_seed(source):
    index = range(30)
    order = view(source, index).order(1)
    assert sorted(order.tolist()) == list(index)
    assert np.array_equal(order, view(source, index).order(1))
    others = [
        view(source, index).order(2),
        view(source, index, client="edge-1").order(1),
        view(source, index, seed=1).order(1),
    ]
    assert not any(np.array_equal(order, other) for other in others)


def test_the_order_survives_a_change_of_epochs(source):
    local = view(source, range(30))
    first = local.order(0).copy()
    local.order(1)
    assert np.array_equal(local.order(0), first)


@given(cuts=st.lists(st.integers(0, 12), max_size=4))
def test_augmentation_does_not_depend_on_how_batches_are_cut(cuts):
    local = view(Counting(np.arange(12)), range(12), *CROP_AND_FLIP)
    whole = local.batch(5, 0, 12)
    bounds = [0, *sorted(cuts), 12]
    parts = [local.batch(5, a, b - a) for a, b in pairwise(bounds)]
    assert torch.equal(torch.cat([part.inputs for part in parts]), whole.inputs)
    assert torch.equal(torch.cat([part.labels for part in parts]), whole.labels)


def by_label(local, epoch) -> Tensor:
    batch = local.batch(epoch, 0, local.samples)
    return batch.inputs[batch.labels.argsort()]


def test_augmentation_differs_by_epoch_client_seed_and_sample():
    source = Counting(np.arange(12))
    first = by_label(view(source, range(12), *CROP_AND_FLIP), 0)
    assert torch.equal(first, by_label(view(source, range(12), *CROP_AND_FLIP), 0))
    others = [
        by_label(view(source, range(12), *CROP_AND_FLIP), 1),
        by_label(view(source, range(12), *CROP_AND_FLIP, client="edge-1"), 0),
        by_label(view(source, range(12), *CROP_AND_FLIP, seed=1), 0),
    ]
    assert not any(torch.equal(first, other) for other in others)
    twins = view(source, [4] * 20, *CROP_AND_FLIP).in_order(0, 20).inputs
    assert len(twins.unique(dim=0)) > 10


@pytest.mark.parametrize("transforms", [(), CROP_AND_FLIP], ids=["plain", "random"])
def test_loading_leaves_torchs_random_state_alone(transforms, source):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    view(source, range(9), *transforms).batch(0, 0, 9)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_random_state_is_restored_when_a_sample_fails(source):
    local = view(source, range(9), *CROP_AND_FLIP)
    torch.manual_seed(7)
    before = torch.get_rng_state()
    source.load = lambda _: torch.ones(3)
    with pytest.raises(InputError, match="RandomCrop cannot be applied"):
        local.batch(0, 0, 9)
    assert torch.equal(torch.get_rng_state(), before)


def test_nothing_is_seeded_without_random_transforms(source, monkeypatch):
    def unexpected(*_):
        raise AssertionError

    monkeypatch.setattr("pslgs.data.client_dataset.torch_seed", unexpected)
    view(source, range(9), {"name": "CenterCrop", "size": 4}).batch(0, 0, 9)


def test_a_client_without_samples_still_knows_their_shape(source):
    local = view(source, [], {"name": "CenterCrop", "size": 4})
    assert local.samples == 0
    assert local.input_shape == (3, 4, 4)
    assert local.labels.tolist() == []
    batch = local.batch(0, 0, 0)
    assert (batch.inputs.shape, batch.labels.shape) == ((0, 3, 4, 4), (0,))
    assert batch.labels.dtype == torch.int64


@pytest.mark.parametrize(
    ("offset", "count"), [(8, 2), (-1, 2), (0, -1), (10, 1)], ids=["end", "start", "negative", "beyond"]
)
def test_a_slice_beyond_the_samples_is_an_error(offset, count, source):
    local = view(source, range(9))
    with pytest.raises(ValueError, match=r"samples .* there are 9"):
        local.batch(0, offset, count)
    with pytest.raises(ValueError, match=r"samples .* there are 9"):
        local.in_order(offset, count)


def arrays(array: np.ndarray, *transforms) -> ClientDataset:
    source = ArraySource(array, np.zeros(len(array), np.int64), None, "spec.data.train")
    return view(source, range(len(array)), *transforms)


ROWS, IMAGES = np.zeros((64, 8), np.float32), np.zeros((64, 3, 8, 8), np.uint8)


def test_a_small_batch_of_an_array_is_at_hand():
    assert arrays(ROWS).is_at_hand(None, 32)
    assert arrays(IMAGES, {"name": "Normalize", "mean": [0.5], "std": [0.5]}).is_at_hand(None, 32)


@pytest.mark.parametrize(
    ("array", "transforms", "count"),
    [
        (ROWS, (), 33),
        (np.zeros((4, 20_000), np.float32), (), 2),
        (IMAGES, CROP_AND_FLIP, 4),
        (np.lib.format.open_memmap, (), 4),
    ],
    ids=["many samples", "large samples", "samples that are transformed", "a file"],
)
def test_other_batches_are_not(array, transforms, count, tmp_path):
    if callable(array):
        array = array(tmp_path / "x.npy", mode="w+", shape=(64, 8), dtype=np.float32)
    assert not arrays(array, *transforms).is_at_hand(None, count)


def test_no_batch_is_at_hand_before_the_order_of_its_epoch_is_drawn():
    data = arrays(ROWS)
    assert not data.is_at_hand(3, 4)
    data.batch(3, 0, 4)
    assert data.is_at_hand(3, 4)
    assert not data.is_at_hand(4, 4)
