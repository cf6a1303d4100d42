"""From stored arrays to samples: one rule for scaling by type, and layouts that are declared."""

import numpy as np
import pytest
import torch

from pslgs.data.samples import SampleForm
from pslgs.data.transforms import to_float
from pslgs.spec.errors import InputError
from pslgs.spec.inputs import InputType, Layout

UNDECLARED = SampleForm()


def counting(*shape, dtype="float32"):
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


@pytest.mark.parametrize("shape", [(10, 5, 3), (4, 5, 3), (6, 5, 4), (8, 8), (7,), (2, 3, 4, 5)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", ">f8", "float16", "int64", "uint32", "bool"])
def test_no_length_of_a_dimension_changes_the_shape_of_numbers(shape, dtype):
    stored = counting(*shape).astype(dtype)
    sample = UNDECLARED.sample(stored)
    assert sample.shape == shape
    assert sample.dtype == torch.float32
    assert np.array_equal(sample, stored.astype(np.float32))


@pytest.mark.parametrize("shape", [(64,), (8, 8), (8, 8, 3), (3, 8, 8), (2, 2, 2, 8)], ids=str)
@pytest.mark.parametrize(("dtype", "largest"), [("uint8", 255), ("uint16", 65535), (">u2", 65535)])
def test_unsigned_integers_of_one_type_are_scaled_alike_in_any_shape(shape, dtype, largest):
    stored = np.full(shape, largest, dtype)
    assert to_float(UNDECLARED.sample(stored)).unique().tolist() == [1.0]


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize(
    ("stored", "shape"),
    [
        pytest.param((8, 6), (1, 8, 6), id="grey"),
        pytest.param((8, 6, 3), (3, 8, 6), id="channels last"),
        pytest.param((8, 6, 1), (1, 8, 6), id="one channel last"),
        pytest.param((4, 8, 6), (4, 8, 6), id="channels first"),
        pytest.param((8, 6, 5), (8, 6, 5), id="eight channels"),
    ],
)
def test_small_unsigned_integers_are_images(stored, shape, dtype):
    values = counting(*stored, dtype=dtype)
    sample = UNDECLARED.sample(values)
    assert sample.shape == shape
    moved = np.moveaxis(values, -1, 0) if stored[-1] in {1, 3} else values.reshape(shape)
    assert np.allclose(to_float(sample), moved.astype(np.float64) / np.iinfo(dtype).max)


@pytest.mark.parametrize("shape", [(4, 5, 3), (3, 3, 3), (1, 8, 1)], ids=str)
def test_an_image_with_channels_at_either_end_is_refused_until_its_layout_is_declared(shape):
    values = counting(*shape, dtype="uint8")
    with pytest.raises(InputError, match=r"spec.data.layout: is missing.*set it to CHW or HWC"):
        UNDECLARED.sample(values)
    assert SampleForm(Layout.CHW).sample(values).shape == shape
    assert SampleForm(Layout.HWC).sample(values).shape == (shape[2], *shape[:2])


@pytest.mark.parametrize(
    ("layout", "stored", "shape"),
    [
        ("Flat", (2, 3, 4), (24,)),
        ("Flat", (5,), (5,)),
        ("CHW", (10, 5, 3), (10, 5, 3)),
        ("CHW", (5, 3), (1, 5, 3)),
        ("HWC", (10, 5, 7), (7, 10, 5)),
        ("HWC", (10, 5), (1, 10, 5)),
        ("CT", (2, 9), (2, 9)),
        ("CT", (9,), (1, 9)),
        ("TC", (9, 2), (2, 9)),
        ("CDHW", (3, 4, 5), (1, 3, 4, 5)),
        ("DHWC", (3, 4, 5, 2), (2, 3, 4, 5)),
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["float32", "uint8", "int16"])
def test_a_declared_layout_holds_for_every_type(layout, stored, shape, dtype):
    values = counting(*stored, dtype=dtype)
    sample = SampleForm(Layout(layout)).sample(values)
    assert sample.shape == shape
    moved = np.moveaxis(values, -1, 0) if layout.endswith("C") and len(stored) == len(layout) else values
    assert np.array_equal(sample, moved.reshape(shape))


def test_a_sample_that_does_not_fit_the_layout_is_refused_with_both_shapes():
    with pytest.raises(InputError, match=r"spec.data.layout: is CT, which has 2 dimensions.*\[3, 4, 5\]"):
        SampleForm(Layout.CT).sample(counting(3, 4, 5))


def test_a_declared_range_scales_all_but_bytes_and_clips():
    form = SampleForm(value_range=(-1000.0, 1000.0))
    values = np.array([-2000, -1000, 0, 500, 4000], dtype="int16")
    assert form.sample(values).tolist() == [0, 0, 0.5, 0.75, 1]
    assert form.sample(np.array([7, 255], dtype="uint8")).tolist() == [7, 255]


def test_integer_inputs_stay_integers_of_64_bits():
    form = SampleForm(input_type=InputType.INTEGER)
    for dtype in ("int8", "uint8", "uint16", ">i4", "int64", "bool"):
        sample = form.sample(np.array([1, 0, 1], dtype))
        assert (sample.dtype, sample.tolist()) == (torch.int64, [1, 0, 1])
    with pytest.raises(InputError, match=r"spec.data.inputType: is Integer, .* float32; store integers"):
        form.sample(np.zeros(3, "float32"))


def test_lists_are_cut_or_filled_up_to_the_declared_length():
    form = SampleForm(input_type=InputType.INTEGER, length=4)
    assert form.sample(np.array([5, 6])).tolist() == [5, 6, 0, 0]
    assert form.sample(np.array([5, 6, 7, 8, 9])).tolist() == [5, 6, 7, 8]
    assert form.sample(np.array([], dtype=int)).tolist() == [0, 0, 0, 0]


def test_a_sample_is_a_copy_that_may_be_changed():
    stored = counting(2, 3, dtype="uint8")
    stored.flags.writeable = False
    UNDECLARED.sample(stored).add_(1)
    assert stored[0, 0] == 0
