"""Batches that several threads decode equal those that one thread loads, whatever else draws numbers."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count

import numpy as np
import pytest
import torch
from torch import Tensor

from pslgs.data.client_dataset import ClientDataset, DatasetOwner
from pslgs.data.transforms import training_pipeline
from pslgs.spec.data import DataSpec
from pslgs.spec.errors import InputError

AUGMENTED = (
    {"name": "RandomCrop", "size": 8, "padding": 4},
    {"name": "RandomHorizontalFlip"},
    {"name": "ColorJitter", "brightness": 0.5},
)
SAMPLES = 40


@dataclass(eq=False)
class Images:
    """Images that follow from their number; a thread-unsafe one draws numbers of its own as it loads."""

    is_thread_safe: bool = True
    has_text_labels = False
    class_names: tuple[str, ...] | None = None

    @property
    def labels(self) -> np.ndarray:
        return np.arange(SAMPLES) % 7

    def __len__(self) -> int:
        return SAMPLES

    def load(self, index: int) -> Tensor:
        generator = torch.Generator().manual_seed(index)
        image = torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8, generator=generator)
        return image if self.is_thread_safe else image ^ torch.randint(0, 256, (1,)).to(torch.uint8)


class Numbers(Images):
    """Rows of numbers of which one is missing."""

    def load(self, index: int) -> Tensor:
        return torch.tensor([1.0, float("nan") if index == 12 else 2.0])


def dataset(source: Images, *transforms: dict) -> ClientDataset:
    document = {"train": {"format": "ScikitLearn", "name": "digits"}, "transforms": list(transforms)}
    pipeline = training_pipeline(DataSpec.model_validate(document))
    return ClientDataset(
        source, np.arange(5, SAMPLES), pipeline, DatasetOwner("edge-0", 3, "spec.data.train")
    )


def decoded(data: ClientDataset, epoch: int | None, parts: list[tuple[int, int]]) -> Tensor:
    with ThreadPoolExecutor(len(parts)) as threads:
        samples = threads.map(lambda part: data.decode(epoch, *part, lambda: False), parts)
    return data.collate(epoch, parts[0][0], [each for part in samples for each in part]).inputs


@pytest.mark.parametrize(
    ("safe", "transforms"),
    [(True, ()), (True, AUGMENTED), (False, ()), (False, AUGMENTED)],
    ids=["plain", "augmented", "with own random numbers", "augmented with own random numbers"],
)
@pytest.mark.parametrize("epoch", [None, 0, 2], ids=["in order", "epoch 0", "epoch 2"])
def test_decoding_in_parts_gives_the_batch_of_one_thread(epoch, safe, transforms):
    data = dataset(Images(is_thread_safe=safe), *transforms)
    whole = data.in_order(3, 30) if epoch is None else data.batch(epoch, 3, 30)
    parts = [(3, 10), (13, 1), (14, 19)] if safe else [(3, 30)]
    assert torch.equal(decoded(data, epoch, parts), whole.inputs)
    assert torch.equal(data.collate(epoch, 3, data.decode(epoch, 3, 30, lambda: False)).labels, whole.labels)


def test_decoding_leaves_the_random_state_of_the_process_alone():
    before = torch.get_rng_state()
    dataset(Images(is_thread_safe=False), *AUGMENTED).decode(1, 0, 10, lambda: False)
    assert torch.equal(torch.get_rng_state(), before)


def test_decoding_does_not_depend_on_the_random_state_of_the_process():
    data = dataset(Images(is_thread_safe=False), *AUGMENTED)
    once = data.decode(1, 0, 10, lambda: False)
    torch.rand(7)
    assert all(map(torch.equal, data.decode(1, 0, 10, lambda: False), once))


def test_decoding_stops_before_the_next_sample_once_it_is_cancelled():
    asked = count()
    assert len(dataset(Images()).decode(1, 0, 30, lambda: next(asked) == 4)) == 4


@pytest.mark.parametrize(
    "load",
    [lambda data: data.batch(1, 0, 35), lambda data: decoded(data, None, [(0, 20), (20, 15)])],
    ids=["batch", "parts"],
)
def test_a_sample_that_is_not_finite_is_named(load):
    data = dataset(Numbers())
    with pytest.raises(InputError, match=r"spec\.data\.train: holds sample 12 .* not finite"):
        load(data)
