"""Image decoding: formats, orientation, and the scaling of images with more than 8 bits."""

import io
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from pslgs.damaged_files import DamagedFileError, read_by_library
from pslgs.data.image_files import is_heic
from pslgs.data.inflation import IMAGE_PIXELS
from pslgs.data.medical import decode_medical
from pslgs.data.samples import ValueRange
from pslgs.spec.errors import InputError

_DEEP: Final = {"I;16": 65535.0, "I;16L": 65535.0, "I;16B": 65535.0, "I;16N": 65535.0, "I": None, "F": None}
"""Pillow's modes of grey images with more than 8 bits, and their largest value where it is known."""


def decode(data: bytes, value_range: ValueRange | None = None) -> Tensor:
    """Decode an image file of any format that Pillow knows to three channels, or a medical image.

    The first page or frame is taken, turned as its EXIF orientation says.  Palettes become colours, and
    transparency is dropped.

    Args:
        data: Content of the file.
        value_range: Values of a grey image of more than 8 bits that become 0 and 1.

    Returns:
        Shape (3, height, width).  uint8; float32 from 0 to 1 for grey images of more than 8 bits.  See
        `decode_medical` for DICOM and NIfTI.

    Raises:
        ValueError: the format is unknown, or the image is damaged.
        InputError: the image has 32-bit grey values, and there is no ``value_range``, or the library for a
            medical image is not installed.
    """
    medical = decode_medical(data, value_range)
    if medical is not None:
        return medical
    image = read_image(data)
    with read_by_library():  # there may be no memory for the copies of a large image
        if image.mode in _DEEP:
            return _scaled(image, value_range).expand(3, -1, -1).contiguous()
        return _as_tensor(np.array(image if image.mode == "RGB" else image.convert("RGB")))


def read_image(data: bytes) -> Image.Image:
    """Read the first page of an image file, turned as its EXIF orientation says.

    Raises:
        ValueError: the format is unknown, or the image is damaged or too large.
    """
    try:
        with read_by_library(), Image.open(io.BytesIO(data)) as image:
            _check_size(image)
            upright = ImageOps.exif_transpose(image)
            upright.load()
            return upright
    except DamagedFileError as error:
        if not isinstance(error.__cause__, UnidentifiedImageError):
            raise ValueError(f"it cannot be decoded ({error})") from error  # noqa: TRY004 - the content
        raise ValueError(
            "it is a HEIC image, which cannot be read; convert it to PNG or JPEG"
            if is_heic(data)
            else "its image format is unknown"
        ) from error


def _check_size(image: Image.Image) -> None:
    if image.width * image.height > IMAGE_PIXELS:
        raise ValueError(
            f"it has {image.width:,} × {image.height:,} pixels, and {IMAGE_PIXELS:,} at most can be read; "
            "scale it down"
        )


def from_pillow(image: Image.Image, value_range: ValueRange | None = None) -> Tensor:
    """Convert a Pillow image as `decode` does, but with one channel if it is grey.

    Raises:
        InputError: the image has 32-bit grey values, and there is no ``value_range``.
    """
    if image.mode in _DEEP:
        return _scaled(image, value_range)
    return _as_tensor(np.array(image if image.mode in {"L", "RGB"} else image.convert("RGB")))


def _scaled(image: Image.Image, value_range: ValueRange | None) -> Tensor:
    """Scale grey values to float32 from 0 to 1; shape (1, height, width)."""
    low, high = value_range or (0.0, _DEEP[image.mode])
    values = np.array(image, dtype=np.float32)
    if high is None:
        raise InputError.at(
            "spec.data.range",
            f"is missing, but an image has 32-bit grey values, from {values.min():g} to {values.max():g}; "
            "set it to the two values that shall become 0 and 1",
        )
    scaled = (values - np.float32(low)) / np.float32(high - low)
    return _as_tensor(scaled if value_range is None else scaled.clip(0.0, 1.0))


def _as_tensor(pixels: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(pixels if pixels.ndim == 3 else pixels[..., None]).permute(2, 0, 1)
