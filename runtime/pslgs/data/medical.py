"""Medical images: DICOM by pydicom and NIfTI by nibabel, which are optional (``pslgs[medical]``)."""

import importlib
import io
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import Tensor

from pslgs.damaged_files import DamagedFileError, read_by_library
from pslgs.data.image_files import is_dicom, nifti_version
from pslgs.data.inflation import inflate
from pslgs.data.samples import ValueRange, scaled
from pslgs.spec.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_GZIP_MAGIC: Final = b"\x1f\x8b"


def decode_medical(data: bytes, value_range: ValueRange | None) -> Tensor | None:
    """Decode a DICOM or NIfTI file; None if the file is neither.

    Values are those of the modality, such as Hounsfield units: rescale slope and intercept of DICOM, and
    slope and intercept of NIfTI, are applied.

    Args:
        data: Content of the file.
        value_range: Values of the modality that become 0 and 1, as `spec.data.window` and `spec.data.range`
            give them.  Without it, the smallest and the largest value that the bits of a DICOM image can
            store become 0 and 1, and values of NIfTI stay as they are.

    Returns:
        A DICOM image of shape (3, height, width): uint8 if it has colours, else float32 from 0 to 1.  Several
        frames have the shape (1, frames, height, width).  A NIfTI volume, float32, of shape (1, depth,
        height, width), turned to the axes right, anterior and superior; a fourth dimension takes the place
        of the 1.

    Raises:
        ValueError: the file is damaged or of an unsupported kind.
        InputError: the library that reads it is not installed.
    """
    if is_dicom(data):
        return _decoding("DICOM", "pydicom", _decode_dicom, data, value_range)
    if data[:2] == _GZIP_MAGIC:
        data = inflate(data)
    if nifti_version(data) is not None:
        return _decoding("NIfTI", "nibabel", _decode_nifti, data, value_range)
    return None


def _decoding(kind: str, library: str, decode: Any, data: bytes, value_range: ValueRange | None) -> Tensor:  # noqa: ANN401 - a function of this module
    try:
        module = importlib.import_module(library)
    except ImportError as error:
        raise InputError.at(
            "spec.data",
            f"has a {kind} file, which {library} reads, but {library} is not installed; "
            "install it with pip install 'pslgs[medical]'",
        ) from error
    try:
        with read_by_library():
            decoded: Tensor = decode(module, data, value_range)
    except DamagedFileError as error:
        raise ValueError(f"it cannot be decoded as {kind} ({error})") from error
    return decoded


def _decode_dicom(pydicom: Any, data: bytes, value_range: ValueRange | None) -> Tensor:  # noqa: ANN401 - a module
    image = pydicom.dcmread(io.BytesIO(data))
    pixels: NDArray[Any] = image.pixel_array
    interpretation = image.PhotometricInterpretation
    if interpretation not in {"MONOCHROME1", "MONOCHROME2"}:
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or interpretation == "PALETTE COLOR":
            raise ValueError(f"{interpretation} images of the shape {pixels.shape} are not supported")
        return torch.from_numpy(np.ascontiguousarray(np.moveaxis(pixels, -1, 0)))
    slope, intercept = (float(image.get(name, by_default)) for name, by_default in _RESCALE)
    values = pixels.astype(np.float64) * slope + intercept
    grey = scaled(values, value_range or _storable(image, slope, intercept))
    if interpretation == "MONOCHROME1":  # the smallest value is white
        grey = np.float32(1) - grey
    if grey.ndim == 3:
        return torch.from_numpy(grey[None])
    return torch.from_numpy(grey).expand(3, -1, -1).contiguous()


_RESCALE: Final = (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0))


def _storable(image: Any, slope: float, intercept: float) -> ValueRange:  # noqa: ANN401 - pydicom's Dataset
    """Return the smallest and the largest value that the bits of an image can store, after rescaling."""
    bits, signed = int(image.BitsStored), bool(image.PixelRepresentation)
    low = -(2 ** (bits - 1)) if signed else 0
    ends = low * slope + intercept, (low + 2**bits - 1) * slope + intercept
    return min(ends), max(ends)


def _decode_nifti(nibabel: Any, data: bytes, value_range: ValueRange | None) -> Tensor:  # noqa: ANN401 - a module
    kind = nibabel.Nifti2Image if nifti_version(data) == 2 else nibabel.Nifti1Image
    image = nibabel.as_closest_canonical(kind.from_bytes(data))
    values: NDArray[Any] = image.get_fdata(dtype=np.float32)
    if values.ndim not in {3, 4}:
        raise ValueError(f"its shape is {values.shape}; a volume has three dimensions, or four with channels")
    volume = values.T if values.ndim == 4 else values.T[None]
    return torch.from_numpy(np.ascontiguousarray(scaled(volume, value_range)))
