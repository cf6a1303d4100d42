"""Images of every depth keep their contrast: none is clipped, none scaled by the values it holds."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from pslgs.data.decoding import decode, from_pillow
from pslgs.data.transforms import to_float
from pslgs.spec.errors import InputError


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    with io.BytesIO() as file:
        image.save(file, kind, **options)
        return file.getvalue()


def grey(values, kind="TIFF", **options) -> bytes:
    return encoded(Image.fromarray(np.asarray(values)), kind, **options)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"], ids=str)
def test_sixteen_bits_are_divided_by_their_largest_value(kind):
    values = np.array([[0, 1, 255], [256, 40_000, 65_535]], dtype=np.uint16)
    image = decode(grey(values, kind))
    assert (image.dtype, tuple(image.shape)) == (torch.float32, (3, 2, 3))
    assert torch.equal(image[0], image[2])
    assert image[0].numpy() == pytest.approx(values / 65_535, abs=1e-7)


@given(arrays.arrays(np.uint8, (5, 4)))
def test_a_picture_of_sixteen_bits_is_the_one_of_eight(values):
    deep = decode(grey(values.astype(np.uint16) * 257, "PNG"))
    assert torch.allclose(deep, to_float(decode(grey(values, "PNG"))), atol=1e-6)


@pytest.mark.parametrize("kind", [np.int32, np.float32], ids=["int32", "float32"])
def test_thirty_two_bits_need_a_range(kind):
    data = grey(np.array([[-1000, 0, 1000]], dtype=kind))
    with pytest.raises(InputError, match=r"spec\.data\.range: is missing.*from -1000 to 1000"):
        decode(data)
    scaled = decode(data, (-1000.0, 1000.0))
    assert scaled[0].tolist() == [[0.0, 0.5, 1.0]]


@given(st.floats(-2000, 2000, width=32), st.floats(-2000, 2000, width=32))
def test_values_outside_the_range_become_its_ends(one, other):
    image = Image.fromarray(np.array([[one, other]], dtype=np.float32))
    scaled = from_pillow(image, (-1000.0, 1000.0))
    expected = np.clip((np.array([one, other]) + 1000) / 2000, 0, 1)
    assert scaled.flatten().numpy() == pytest.approx(expected, abs=1e-6)


def test_a_range_narrows_sixteen_bits_and_leaves_eight_alone():
    assert decode(grey(np.full((1, 1), 4095, np.uint16)), (0.0, 4095.0)).max() == 1
    assert decode(grey(np.full((1, 1), 7, np.uint8)), (0.0, 4095.0)).tolist() == [[[7]]] * 3


def test_a_photograph_is_turned_as_its_camera_was():
    picture = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3) * 40)
    exif = picture.getexif()
    exif[274] = 6  # the camera was turned by a quarter
    turned = decode(encoded(picture, "PNG", exif=exif))
    assert tuple(turned.shape) == (3, 3, 2)
    assert turned[0].numpy().tolist() == np.rot90(np.array(picture), -1).tolist()


def test_the_first_page_is_taken():
    pages = [Image.new("L", (2, 2), value) for value in (10, 20)]
    data = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert decode(data).unique().tolist() == [10]


def test_grey_pictures_of_a_dataset_keep_one_channel():
    assert tuple(from_pillow(Image.new("L", (4, 3))).shape) == (1, 3, 4)
    assert tuple(from_pillow(Image.new("I;16", (4, 3))).shape) == (1, 3, 4)
