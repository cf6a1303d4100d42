"""Frames: a header and the raw bytes that may follow it, one or more a message (``v1/training.proto``)."""

from dataclasses import dataclass

from google.protobuf.message import DecodeError

from pslgs.wire.errors import ProtocolViolation
from pslgs.wire.limits import HEADER_LIMIT, MERGED_BYTES
from pslgs.wire.v1.training_pb2 import Header, Tensor

_PREFIX = 8  # the lengths of header and payload, 4 bytes each, little endian

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


def encode(header: Header, payload: bytes | memoryview = b"") -> bytes:
    """Put a frame together; the payload is copied once.

    Raises:
        ValueError: the header is longer than `HEADER_LIMIT`.
    """
    head = header.SerializeToString()
    if len(head) > HEADER_LIMIT:
        raise ValueError(f"A header of {len(head)} bytes is longer than the {HEADER_LIMIT} that fit a frame.")
    lengths = len(head) | len(payload) << 32
    return b"".join((lengths.to_bytes(_PREFIX, "little"), head, payload))


def decode(message: bytes) -> list[Frame]:
    """Take a message apart into its frames, at least one, without copying a payload.

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


def _frame(message: bytes, start: int) -> Frame:
    lengths = message[start : start + _PREFIX]
    head = int.from_bytes(lengths[:4], "little")
    payload_at = start + _PREFIX + head
    end = payload_at + int.from_bytes(lengths[4:], "little")
    if len(lengths) < _PREFIX or head > HEADER_LIMIT or end > len(message):
        raise ProtocolViolation(
            f"A message of {len(message)} bytes is not made of frames: its lengths are wrong."
        )
    header = _header(message[start + _PREFIX : payload_at])
    payload = memoryview(message)[payload_at:end]
    if payload and header.WhichOneof("body") != "tensor":
        raise ProtocolViolation(f"{len(payload)} bytes of payload came behind a header that is no tensor's.")
    return Frame(header, payload, end - start)


def _header(encoded: bytes) -> Header:
    try:
        header = Header.FromString(encoded)
    except DecodeError as error:
        raise ProtocolViolation("The header of a frame cannot be parsed.") from error
    if header.WhichOneof("body") is None:
        raise ProtocolViolation("The header of a frame has no body that this version of the protocol knows.")
    return header
