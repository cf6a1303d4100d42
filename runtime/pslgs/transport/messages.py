"""The wire format: frames of a header and raw tensor bytes, and tensors in chunks."""

from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from pslgs.transport.errors import ProtocolViolation
from pslgs.transport.settings import CHUNK_BYTES, HEADER_LIMIT, MERGED_BYTES
from pslgs.transport.v1.training_pb2 import Header, Tensor

# Tags of length-delimited fields: the field's number << 3 | 2.
_FRAME = 1 << 3 | 2  # Frames.frame
_HEADER = 1 << 3 | 2  # Frame.header
_PAYLOAD = 2 << 3 | 2  # Frame.payload
_LENGTH_BITS = 35  # of five bytes; far above every limit

_KINDS = {number: name.lower() for name, number in Tensor.Kind.items()}


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A decoded frame; ``payload`` is a view of its message, empty behind any header but a tensor's."""

    header: Header
    payload: memoryview
    size: int
    """Bytes of the whole frame."""

    @property
    def kind(self) -> str:
        """What the bytes are for, as a label of metrics: ``smashed_data`` and so on, or ``control``."""
        if self.header.WhichOneof("body") != "tensor":
            return "control"
        # Enums of proto3 are open: a peer may send a number that has no name here.
        return _KINDS.get(self.header.tensor.kind, "unknown")


def encode_frame(header: Header, payload: bytes | memoryview = b"") -> bytes:
    """Encode a frame as a whole message; the payload is copied once.

    Raises:
        ValueError: the header is longer than `HEADER_LIMIT`.
    """
    head = header.SerializeToString()
    if len(head) > HEADER_LIMIT:
        raise ValueError(f"A header of {len(head)} bytes is longer than the {HEADER_LIMIT} that fit a frame.")
    before = _opening(_HEADER, len(head))
    between = _opening(_PAYLOAD, len(payload)) if payload else b""
    frame = _opening(_FRAME, len(before) + len(head) + len(between) + len(payload))
    return b"".join((frame, before, head, between, payload))


def decode_frames(message: bytes) -> list[Frame]:
    """Decode the frames of a message, at least one, without copying a payload.

    Raises:
        ProtocolViolation: the message is not made of frames.
    """
    frames: list[Frame] = []
    start = 0
    while start < len(message) or not frames:
        if frames and len(message) > MERGED_BYTES:
            raise ProtocolViolation(f"A message of {len(message)} bytes is longer than merged frames may be.")
        frame = _frame(message, start)
        frames.append(frame)
        start += frame.size
    return frames


def _opening(tag: int, length: int) -> bytes:
    """Encode the tag and the length, a varint, that precede a field's bytes."""
    if length <= 0x7F:
        return bytes((tag, length))
    encoded = bytearray((tag,))
    while length > 0x7F:
        encoded.append(length & 0x7F | 0x80)
        length >>= 7
    encoded.append(length)
    return bytes(encoded)


def _frame(message: bytes, start: int) -> Frame:
    tag, at, end = _field(message, start, len(message))
    if tag != _FRAME:
        raise _malformed(message)
    encoded, payload = None, None
    while at < end:
        tag, first, at = _field(message, at, end)
        if tag == _HEADER and encoded is None and at - first <= HEADER_LIMIT:
            encoded = message[first:at]
        elif tag == _PAYLOAD and payload is None:
            payload = memoryview(message)[first:at]
        else:
            raise _malformed(message)
    header = _header(encoded or b"")
    if payload and header.WhichOneof("body") != "tensor":
        raise ProtocolViolation(f"{len(payload)} bytes of payload came behind a header that is no tensor's.")
    return Frame(header, memoryview(b"") if payload is None else payload, end - start)


def _field(message: bytes, at: int, limit: int) -> tuple[int, int, int]:
    """Return the tag of the field at ``at``, and where its bytes start and end."""
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


def _header(encoded: bytes) -> Header:
    try:
        header = Header.FromString(encoded)
    except DecodeError as error:
        raise ProtocolViolation("The header of a frame cannot be parsed.") from error
    if header.WhichOneof("body") is None:
        raise ProtocolViolation("The header of a frame has no body that this version of the protocol knows.")
    return header


def tensor_frames(  # noqa: PLR0913, PLR0917 - the fields of the message, which have no life of their own
    kind: Tensor.Kind, step: int, attempt: int, first: int, samples: int, data: memoryview
) -> Iterator[bytes]:
    """Yield the encoded frames of a tensor, each a chunk of ``data``; an empty tensor is one empty chunk.

    Args:
        kind: What the tensor is.
        step: Of the Forward or Evaluate that it belongs to.
        attempt: Likewise.
        first: The slice's first sample in the local batch; 0 for a vector.
        samples: Samples in the slice; 0 for a vector.
        data: The encoded slice or vector, contiguous bytes.
    """
    tensor = Tensor(kind=kind, step=step, attempt=attempt, first=first, samples=samples)
    for offset in range(0, max(len(data), 1), CHUNK_BYTES):
        tensor.offset = offset
        yield encode_frame(Header(tensor=tensor), data[offset : offset + CHUNK_BYTES])


class Assembly:
    """Puts the chunks of one tensor together in ``destination``, which is exactly as long as the tensor."""

    def __init__(self, destination: memoryview) -> None:
        self._destination = destination
        self._filled = 0
        self._complete = False

    def accept(self, offset: int, payload: memoryview) -> bool:
        """Copy the next chunk to its place and tell whether the tensor is complete.

        Raises:
            ProtocolViolation: the chunk does not start where the last one ended, reaches beyond the tensor,
                brings nothing, or the tensor was complete.
        """
        self._check(offset, payload)
        end = offset + len(payload)
        self._destination[offset:end] = payload
        self._filled = end
        self._complete = end == len(self._destination)
        return self._complete

    def _check(self, offset: int, payload: memoryview) -> None:
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
