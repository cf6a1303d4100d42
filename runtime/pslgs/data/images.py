"""From the bytes of an image file to a tensor."""

import io
import struct

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor


def decode(data: bytes) -> Tensor:
    """Decode an image file of any usual format to RGB; uint8, shape (3, height, width).

    Raises:
        ValueError: it is no image, or a damaged one.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            return from_pillow(image.convert("RGB"))
    except UnidentifiedImageError as error:
        raise ValueError("it is of no known image format") from error
    except (OSError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError) as error:
        raise ValueError(f"it cannot be decoded ({error})") from error


def from_pillow(image: Image.Image) -> Tensor:
    """Copy a Pillow image to uint8 (channels, height, width); grey stays grey, all else becomes RGB."""
    pixels = np.array(image if image.mode in {"L", "RGB"} else image.convert("RGB"))
    return torch.from_numpy(pixels if pixels.ndim == 3 else pixels[..., None]).permute(2, 0, 1)
