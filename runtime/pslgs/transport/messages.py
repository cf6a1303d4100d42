"""The wire format: frames of a header and raw tensor bytes, and tensors split into chunks."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from google.protobuf.message import DecodeError

from pslgs.transport.errors import ProtocolViolation
from pslgs.transport.settings import CHUNK_BYTES, HEADER_LIMIT, MERGED_BYTES
from pslgs.transport.v1.training_pb2 import Header, Tensor

# Tags of length-delimited fields: the field's number << 3 | 2.
_FRAME = 1 << 3 | 2  # Frames.frame
_HEADER = 1 << 3 | 2  # Frame.header
_PAYLOAD = 2 << 3 | 2  # Frame.payload
_LENGTH_BITS = 35  # of a varint of five bytes, which is more than any valid length needs

CONTROL = "control"
"""Kind of all frames without a tensor."""

_KINDS = {number: name.lower() for name, number in Tensor.Kind.items()}


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A decoded frame.

    Attributes:
        header: The header.
        payload: View of the message; empty unless the header is that of a tensor.
        size: Size of the encoded frame in bytes.
    """

    header: Header
    payload: memoryview
    size: int

    @property
    def kind(self) -> str:
        """Label of the frame in metrics: the kind of its tensor, such as ``smashed_data``, or ``control``."""
        if self.header.WhichOneof("body") != "tensor":
            return CONTROL
        return kind_of(self.header.tensor.kind)


def kind_of(number: Tensor.Kind) -> str:
    """Return the label of a kind of tensors in metrics, such as ``smashed_data``."""
    # Enums of proto3 are open: a peer may send an undefined number.
    return _KINDS.get(number, "unknown")


class EncodedFrame(NamedTuple):
    """An encoded frame, and the kind that its bytes are counted under."""

    kind: str
    data: bytes


def control_frame(header: Header) -> EncodedFrame:
    """Encode a frame without a tensor.

    Raises:
        ValueError: see `encode_frame`.
    """
    return EncodedFrame(CONTROL, encode_frame(header))


def encode_frame(header: Header, payload: bytes | memoryview = b"") -> bytes:
    """Return a message of one frame; the payload is copied once.

    Raises:
        ValueError: the header is longer than `HEADER_LIMIT`.
    """
    head = header.SerializeToString()
    if len(head) > HEADER_LIMIT:
        raise ValueError(f"A header of {len(head)} bytes is longer than the {HEADER_LIMIT} that fit a frame.")
    header_start = _field_start(_HEADER, len(head))
    payload_start = _field_start(_PAYLOAD, len(payload)) if payload else b""
    frame_start = _field_start(_FRAME, len(header_start) + len(head) + len(payload_start) + len(payload))
    return b"".join((frame_start, header_start, head, payload_start, payload))


def decode_frames(message: bytes) -> list[Frame]:
    """Decode the frames of a message, at least one, without copying payloads.

    Raises:
        ProtocolViolation: the message does not consist of valid frames, or is too long for merged frames.
    """
    frames: list[Frame] = []
    start = 0
    while start < len(message) or not frames:
        if frames and len(message) > MERGED_BYTES:
            raise ProtocolViolation(f"A message of {len(message)} bytes is longer than merged frames may be.")
        frame = _decode_frame(message, start)
        frames.append(frame)
        start += frame.size
    return frames


def _field_start(tag: int, length: int) -> bytes:
    """Encode the tag and the length (a varint) that precede the bytes of a field."""
    if length <= 0x7F:
        return bytes((tag, length))
    encoded = bytearray((tag,))
    while length > 0x7F:
        encoded.append(length & 0x7F | 0x80)
        length >>= 7
    encoded.append(length)
    return bytes(encoded)


def _decode_frame(message: bytes, start: int) -> Frame:
    tag, at, end = _read_field(message, start, len(message))
    if tag != _FRAME:
        raise _malformed(message)
    encoded, payload = None, None
    while at < end:
        tag, first, at = _read_field(message, at, end)
        if tag == _HEADER and encoded is None and at - first <= HEADER_LIMIT:
            encoded = message[first:at]
        elif tag == _PAYLOAD and payload is None:
            payload = memoryview(message)[first:at]
        else:
            raise _malformed(message)
    header = _decode_header(encoded or b"")
    if payload and header.WhichOneof("body") != "tensor":
        raise ProtocolViolation(f"{len(payload)} bytes of payload came behind a header that is no tensor's.")
    return Frame(header, memoryview(b"") if payload is None else payload, end - start)


def _read_field(message: bytes, at: int, limit: int) -> tuple[int, int, int]:
    """Return the tag of the field at offset ``at``, and the offsets of the start and end of its bytes."""
    length, shift = 0, 0
    index = at + 1
    while index < limit and shift < _LENGTH_BITS:
        byte = message[index]
        length |= (byte & 0x7F) << shift
        index += 1
        if byte <= 0x7F:
            if index + length > limit:
                break
            return message[at], index, index + length
        shift += 7
    raise _malformed(message)


def _malformed(message: bytes) -> ProtocolViolation:
    return ProtocolViolation(
        f"A message of {len(message)} bytes is not made of frames: its fields or lengths are wrong."
    )


def _decode_header(encoded: bytes) -> Header:
    try:
        header = Header.FromString(encoded)
    except DecodeError as error:
        raise ProtocolViolation("The header of a frame cannot be parsed.") from error
    if header.WhichOneof("body") is None:
        raise ProtocolViolation("The header of a frame has no body that this version of the protocol knows.")
    return header


def tensor_frames(  # noqa: PLR0913, PLR0917 - the fields of the message
    kind: Tensor.Kind, step: int, attempt: int, first: int, samples: int, data: memoryview
) -> Iterator[EncodedFrame]:
    """Yield the frames of a tensor, one for each chunk; an empty tensor has one empty chunk.

    Args:
        kind: Kind of the tensor.
        step: Step of the Forward or Evaluate to which the tensor belongs.
        attempt: Attempt of this Forward; 0 for an Evaluate.
        first: Index of the slice's first sample in the local batch; 0 for a vector.
        samples: Number of samples in the slice; 0 for a vector.
        data: The encoded slice or vector as contiguous bytes.
    """
    tensor = Tensor(kind=kind, step=step, attempt=attempt, first=first, samples=samples)
    for offset in range(0, max(len(data), 1), CHUNK_BYTES):
        tensor.offset = offset
        yield EncodedFrame(
            kind_of(kind), encode_frame(Header(tensor=tensor), data[offset : offset + CHUNK_BYTES])
        )


class Assembly:
    """Assembles the chunks of one tensor in a buffer of its size."""

    def __init__(self, destination: memoryview) -> None:
        self._destination = destination
        self._filled = 0
        self._complete = False

    def accept(self, offset: int, payload: memoryview) -> bool:
        """Copy the next chunk into the buffer, and return whether the tensor is complete.

        Args:
            offset: Offset of the chunk in the tensor, in bytes.
            payload: Bytes of the chunk.

        Raises:
            ProtocolViolation: the chunk does not start where the last one ended, exceeds the tensor, is empty
                although the tensor is not, or the tensor was complete before.
        """
        self._check_chunk(offset, payload)
        end = offset + len(payload)
        self._destination[offset:end] = payload
        self._filled = end
        self._complete = end == len(self._destination)
        return self._complete

    def _check_chunk(self, offset: int, payload: memoryview) -> None:
        size = len(self._destination)
        if self._complete:
            raise ProtocolViolation(f"A chunk came after all {size} bytes of its tensor.")
        if offset != self._filled:
            raise ProtocolViolation(f"A chunk starts at byte {offset} where byte {self._filled} comes next.")
        if offset + len(payload) > size:
            raise ProtocolViolation(
                f"A chunk ends at byte {offset + len(payload)} of a tensor of {size} bytes."
            )
        if not payload and size:
            raise ProtocolViolation(f"An empty chunk came for a tensor of {size} bytes.")
