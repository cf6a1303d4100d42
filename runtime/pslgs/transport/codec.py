"""Codecs that compress smashed data and cut gradients; each sample is a row."""

import sys
from typing import Protocol

import numpy as np
import torch

from pslgs.spec.errors import InputError
from pslgs.transport.errors import ProtocolViolation

if sys.byteorder != "little":
    raise ImportError(
        "Tensors are sent as they are in memory, which must be little-endian; this machine is not."
    )

_SCALE_BYTES = 4  # of the float32 scale before each row of Int8
_NAN_CODE = -128  # of numbers that are not finite; other codes are -127 … 127


class TensorCodec(Protocol):
    """Encodes tensors of shape (rows, …) whose rows have a fixed number of elements, the features.

    A receiver gets a buffer from `destination`, fills it with the received bytes, and passes it to `decode`.
    """

    def encoded_bytes(self, rows: int) -> int:
        """Return the number of bytes of ``rows`` encoded rows."""

    def encode(self, tensor: torch.Tensor) -> memoryview:
        """Encode ``tensor``; the result may share its memory, so it must not change until it is sent."""

    def destination(self, out: torch.Tensor) -> memoryview:
        """Return the buffer into which the encoded rows of ``out`` are received."""

    def decode(self, buffer: memoryview, out: torch.Tensor) -> None:
        """Decode ``buffer`` into ``out``, a contiguous tensor on the CPU.

        Raises:
            ProtocolViolation: the length of the buffer is not that of the encoded rows.
        """


def tensor_bytes(tensor: torch.Tensor) -> memoryview:
    """Return a writable view of the memory of a contiguous tensor on the CPU, row-major and little-endian."""
    return tensor.detach().view(-1).view(torch.uint8).numpy().data


class CastCodec:
    """Casts elements to the type ``transmitted``; without compression, this is their own type.

    Values beyond the range of a narrower type, and infinities, become its largest finite value of the same
    sign; NaN stays NaN.
    """

    def __init__(self, features: int, dtype: torch.dtype, transmitted: torch.dtype) -> None:
        self._features = features
        self._transmitted = transmitted
        self._casts = dtype != transmitted

    def encoded_bytes(self, rows: int) -> int:
        """See `TensorCodec`."""
        return rows * self._features * self._transmitted.itemsize

    def encode(self, tensor: torch.Tensor) -> memoryview:
        """See `TensorCodec`; without a cast, a contiguous tensor on the CPU is not copied."""
        rows = _saturated(tensor.detach(), self._transmitted)
        return tensor_bytes(rows.cpu().contiguous())

    def destination(self, out: torch.Tensor) -> memoryview:
        """See `TensorCodec`; without a cast, this is the memory of ``out`` itself."""
        return memoryview(bytearray(self.encoded_bytes(len(out)))) if self._casts else tensor_bytes(out)

    def decode(self, buffer: memoryview, out: torch.Tensor) -> None:
        """See `TensorCodec`; nothing is copied if ``buffer`` is the memory of ``out``."""
        _check_length(buffer, self.encoded_bytes(len(out)))
        if self._casts or not _is_memory_of(buffer, out):
            out.detach().view(-1).copy_(_saturated(_bytes_tensor(buffer).view(self._transmitted), out.dtype))


class Int8Codec:
    """Quantizes each row to int8: x is sent as round(127 x / max|x|), after a float32 scale max|x| / 127.

    The error is at most half the scale, max|x| / 254.  Values that are not finite as a float32 are decoded
    as NaN and do not affect the scale of their row.
    """

    def __init__(self, features: int) -> None:
        self._features = features

    def encoded_bytes(self, rows: int) -> int:
        """See `TensorCodec`."""
        return rows * (_SCALE_BYTES + self._features)

    def encode(self, tensor: torch.Tensor) -> memoryview:
        """See `TensorCodec`."""
        rows = tensor.detach().reshape(len(tensor), self._features).float()
        finite = rows.isfinite()
        numbers = rows.where(finite, 0.0)
        scale = numbers.abs().amax(dim=1, keepdim=True).div_(127)
        # A row of zeros has the scale 0; codes of numbers with a denormal scale may exceed 127.
        codes = numbers.div_(scale.where(scale > 0, 1.0)).round_().clamp_(-127, 127)
        codes = codes.masked_fill_(~finite, _NAN_CODE).to(torch.int8)
        return tensor_bytes(torch.cat((scale.view(torch.uint8), codes.view(torch.uint8)), dim=1).cpu())

    def destination(self, out: torch.Tensor) -> memoryview:
        """See `TensorCodec`."""
        return memoryview(bytearray(self.encoded_bytes(len(out))))

    def decode(self, buffer: memoryview, out: torch.Tensor) -> None:
        """See `TensorCodec`."""
        _check_length(buffer, self.encoded_bytes(len(out)))
        encoded = _bytes_tensor(buffer).view(len(out), _SCALE_BYTES + self._features)
        scale = encoded[:, :_SCALE_BYTES].reshape(-1).view(torch.float32).view(-1, 1)
        codes = encoded[:, _SCALE_BYTES:].view(torch.int8)
        limit = torch.finfo(torch.float32).max  # 127 times the scale may exceed the largest number
        numbers = codes.float().mul_(scale).clamp_(-limit, limit).masked_fill_(codes == _NAN_CODE, torch.nan)
        out.detach().view(len(out), self._features).copy_(_saturated(numbers, out.dtype))


def codec_for(compression: str, features: int, dtype: torch.dtype) -> TensorCodec:
    """Return the codec of ``spec.transport.compression`` for rows of ``features`` elements of ``dtype``.

    Raises:
        InputError: the compression is unknown, or does not support this type.
    """
    path = "spec.transport.compression"
    if compression == "None":
        return CastCodec(features, dtype, dtype)
    if not dtype.is_floating_point:
        raise InputError.at(
            path, f"is only for floating-point tensors, and the cut has {dtype}; choose None."
        )
    if compression == "Int8":
        return Int8Codec(features)
    casts = {"Float16": torch.float16, "BFloat16": torch.bfloat16}
    if compression not in casts:
        raise InputError.at(path, f"{compression!r} is unknown; choose None, Float16, BFloat16 or Int8.")
    return CastCodec(features, dtype, casts[compression])


def _saturated(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    wide = torch.promote_types(tensor.dtype, dtype)
    if wide == dtype:
        return tensor.to(dtype)
    limit = torch.finfo(dtype).max
    return tensor.to(wide).clamp(-limit, limit).to(dtype)


def _check_length(buffer: memoryview, expected: int) -> None:
    if len(buffer) != expected:
        raise ProtocolViolation(f"An encoded tensor has {len(buffer)} bytes where {expected} were expected.")


def _bytes_tensor(buffer: memoryview) -> torch.Tensor:
    # torch warns about read-only memory, so it is copied; buffers of `destination` are writable.
    return torch.from_numpy(np.frombuffer(bytearray(buffer) if buffer.readonly else buffer, dtype=np.uint8))


def _is_memory_of(buffer: memoryview, out: torch.Tensor) -> bool:
    return np.frombuffer(buffer, dtype=np.uint8).ctypes.data == out.data_ptr()
