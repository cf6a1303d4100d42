"""How a stream ends, and which gRPC status tells the peer."""
# ruff: noqa: N818 - these say what happened to a stream or what its peer is, and no "Error" adds to that

import grpc

from pslgs.spec.errors import InputError
from pslgs.transport.peer_text import one_line

LOST = "The connection was lost."


class ProtocolViolation(Exception):
    """A peer broke the protocol; the message says how."""


class MissingIdentity(Exception):
    """A client showed no certificate that names it."""


class IdentityMismatch(Exception):
    """A client claims an id that its certificate does not carry."""


class VersionMismatch(Exception):
    """A client speaks another version of the protocol."""


class ClientFailed(Exception):
    """A client cannot go on, for the reason it gives: its data are damaged, say."""


class TryLater(Exception):
    """A client is not admitted now, but may be later.

    Attributes:
        seconds: After which it may connect again.
    """

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class StreamEnded(Exception):
    """The stream is over; nothing more is received or sent on it.

    Attributes:
        status: The gRPC status it ended with.
        details: Why, for people; one line.
        retry_seconds: Time that the server asked this client to wait before it connects again.
    """

    def __init__(self, status: grpc.StatusCode, details: str, retry_seconds: float = 0.0) -> None:
        super().__init__(f"{details or 'The stream ended.'} ({status.name})")
        self.status = status
        self.details = details
        self.retry_seconds = retry_seconds


class Refused(StreamEnded):
    """The peer will have nothing to do with this one, however often it tries again."""


class Unreachable(Exception):
    """No server was found within the client's patience; the message says what came of the last attempt."""


STATUS_OF_ERRORS: dict[type[Exception], grpc.StatusCode] = {
    ProtocolViolation: grpc.StatusCode.INVALID_ARGUMENT,
    MissingIdentity: grpc.StatusCode.UNAUTHENTICATED,
    IdentityMismatch: grpc.StatusCode.PERMISSION_DENIED,
    VersionMismatch: grpc.StatusCode.FAILED_PRECONDITION,
    ClientFailed: grpc.StatusCode.ABORTED,
    InputError: grpc.StatusCode.FAILED_PRECONDITION,
    TimeoutError: grpc.StatusCode.DEADLINE_EXCEEDED,
    TryLater: grpc.StatusCode.UNAVAILABLE,
}
"""The status that a stream ends with after an error; an error that is not here is a fault of ours."""

_REFUSALS = frozenset(
    {
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.DATA_LOSS,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)


def status_of(error: BaseException) -> grpc.StatusCode:
    """Look ``error`` up in `STATUS_OF_ERRORS`, base classes included; INTERNAL where nothing fits."""
    statuses = (STATUS_OF_ERRORS[kind] for kind in type(error).__mro__ if kind in STATUS_OF_ERRORS)
    return next(statuses, grpc.StatusCode.INTERNAL)


def ended(status: grpc.StatusCode, details: str, retry_seconds: float = 0.0) -> StreamEnded:
    """Make the error of a stream that ended with ``status``: `Refused` if a new attempt would end alike.

    The details may come from either side; they are made one line that fits a gRPC status.
    """
    return (Refused if status in _REFUSALS else StreamEnded)(status, one_line(details), retry_seconds)
