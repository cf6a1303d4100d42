"""Frames: one gRPC message, a header and the raw bytes that may follow it (see ``v1/training.proto``)."""

from dataclasses import dataclass

from google.protobuf.message import DecodeError

from pslgs.wire.errors import ProtocolViolation
from pslgs.wire.limits import HEADER_LIMIT
from pslgs.wire.v1.training_pb2 import Header, Tensor

_PREFIX = 4  # bytes of the header's length, little endian


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A decoded message; ``payload`` is a view of it, empty behind any header but a tensor's."""

    header: Header
    payload: memoryview

    @property
    def kind(self) -> str:
        """What the bytes are for, as a label of metrics: ``smashed_data`` and so on, or ``control``."""
        if self.header.WhichOneof("body") != "tensor":
            return "control"
        number = self.header.tensor.kind
        # Enums of proto3 are open: a peer may send a number that has no name here.
        return Tensor.Kind.Name(number).lower() if number in Tensor.Kind.values() else "unknown"


def encode(header: Header, payload: bytes | memoryview = b"") -> bytes:
    """Put a frame together; the payload is copied once.

    Raises:
        ValueError: the header is longer than `HEADER_LIMIT`.
    """
    head = header.SerializeToString()
    if len(head) > HEADER_LIMIT:
        raise ValueError(f"A header of {len(head)} bytes is longer than the {HEADER_LIMIT} that fit a frame.")
    return b"".join((len(head).to_bytes(_PREFIX, "little"), head, payload))


def decode(message: bytes) -> Frame:
    """Take a frame apart without copying its payload.

    Raises:
        ProtocolViolation: the message is no frame.
    """
    payload_at = _PREFIX + int.from_bytes(message[:_PREFIX], "little")
    if len(message) < _PREFIX or payload_at > min(len(message), _PREFIX + HEADER_LIMIT):
        raise ProtocolViolation(f"A message of {len(message)} bytes is no frame: its header does not fit.")
    header = _header(message[_PREFIX:payload_at])
    payload = memoryview(message)[payload_at:]
    if payload and header.WhichOneof("body") != "tensor":
        raise ProtocolViolation(f"{len(payload)} bytes of payload came behind a header that is no tensor's.")
    return Frame(header, payload)


def _header(encoded: bytes) -> Header:
    try:
        header = Header.FromString(encoded)
    except DecodeError as error:
        raise ProtocolViolation("The header of a frame cannot be parsed.") from error
    if header.WhichOneof("body") is None:
        raise ProtocolViolation("The header of a frame has no body that this version of the protocol knows.")
    return header
