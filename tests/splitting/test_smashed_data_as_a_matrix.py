"""Packing and unpacking smashed data lose nothing, copy no more than needed and let gradients through."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pslgs.splitting.layout import SmashedLayout

shapes = st.lists(st.lists(st.integers(1, 4), max_size=3).map(tuple), min_size=1, max_size=4).map(tuple)


def tensors_of(layout: SmashedLayout, batch: int) -> tuple[Tensor, ...]:
    return tuple(torch.rand(batch, *shape) for shape in layout.shapes)


@given(shapes, st.integers(0, 5))
def test_unpacking_undoes_packing(crossing: tuple[tuple[int, ...], ...], batch: int) -> None:
    layout = SmashedLayout(crossing, torch.float32)
    tensors = tensors_of(layout, batch)
    flat = layout.pack(tensors)
    assert flat.shape == (batch, layout.features)
    for original, unpacked in zip(tensors, layout.unpack(flat), strict=True):
        assert torch.equal(original, unpacked)


@given(shapes)
def test_unpacked_tensors_are_views_through_which_gradients_flow(
    crossing: tuple[tuple[int, ...], ...],
) -> None:
    layout = SmashedLayout(crossing, torch.float32)
    flat = torch.rand(3, layout.features, requires_grad=True)
    tensors = layout.unpack(flat)
    assert all(tensor.untyped_storage().data_ptr() == flat.untyped_storage().data_ptr() for tensor in tensors)
    sum((number * tensor).sum() for number, tensor in enumerate(tensors, start=1)).backward()
    expected = [
        float(number) for number, tensor in enumerate(tensors, start=1) for _ in range(tensor[0].numel())
    ]
    assert flat.grad is not None
    assert flat.grad[2].tolist() == expected


def test_a_single_tensor_is_not_copied() -> None:
    layout = SmashedLayout(((2, 3),), torch.float32)
    tensor = torch.rand(4, 2, 3)
    assert layout.pack(tensor).data_ptr() == tensor.data_ptr()


def test_sizes_are_of_one_sample() -> None:
    layout = SmashedLayout(((64, 32, 32), (5,), ()), torch.float16)
    assert layout.features == 65_536 + 5 + 1
    assert layout.bytes_per_sample == 2 * layout.features


@pytest.mark.parametrize("shape", [(2, 5), (6,), (2, 3, 2)], ids=["too narrow", "a vector", "not a matrix"])
def test_other_shapes_are_not_unpacked(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"must have the shape \(batch, 6\)"):
        SmashedLayout(((2, 3),), torch.float32).unpack(torch.zeros(shape))
