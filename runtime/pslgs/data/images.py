"""Decoding of image files to tensors."""

import io
import struct

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor


def decode(data: bytes) -> Tensor:
    """Decode an image file of any format that Pillow knows to RGB: uint8, shape (3, height, width).

    Raises:
        ValueError: the format is unknown, or the image is damaged.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            return from_pillow(image.convert("RGB"))
    except UnidentifiedImageError as error:
        raise ValueError("its image format is unknown") from error
    except (OSError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError) as error:
        raise ValueError(f"it cannot be decoded ({error})") from error


def from_pillow(image: Image.Image) -> Tensor:
    """Convert a Pillow image to uint8, shape (channels, height, width), with 1 channel for grey, else 3."""
    pixels = np.array(image if image.mode in {"L", "RGB"} else image.convert("RGB"))
    return torch.from_numpy(pixels if pixels.ndim == 3 else pixels[..., None]).permute(2, 0, 1)
