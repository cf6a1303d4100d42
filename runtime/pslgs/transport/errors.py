"""Errors of a stream, and the gRPC statuses with which it ends because of them."""
# ruff: noqa: N818 - their names describe what happened, and most are reasons in metrics as well

import grpc

from pslgs.spec.errors import InputError
from pslgs.transport.peer_text import one_line

CONNECTION_LOST = "The connection was lost."


class ProtocolViolation(Exception):
    """A peer violated the protocol; the message says how."""


class MissingIdentity(Exception):
    """The certificate of a client contains no name."""


class IdentityMismatch(Exception):
    """The id of a client is not the name in its certificate."""


class VersionMismatch(Exception):
    """A client uses another version of the protocol."""


class ClientFailed(Exception):
    """A client reported that it cannot continue, for example because its data are damaged."""


class Excluded(Exception):
    """A client violated the protocol or sent unusable values before, and may not take part any more."""


class TryLater(Exception):
    """A client is not admitted now, but may connect again later.

    Attributes:
        seconds: Time after which the client may connect again.
    """

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class StreamEnded(Exception):
    """The stream has ended; nothing can be sent or received any more.

    Attributes:
        status: gRPC status of the stream.
        details: Reason for people, in one line.
        retry_seconds: Time that the server asked this client to wait before it connects again.
    """

    def __init__(self, status: grpc.StatusCode, details: str, retry_seconds: float = 0.0) -> None:
        super().__init__(f"{details or 'The stream ended.'} ({status.name})")
        self.status = status
        self.details = details
        self.retry_seconds = retry_seconds


class Refused(StreamEnded):
    """The stream has ended for a reason that another attempt to connect would not change."""


class Unreachable(Exception):
    """No server answered in time; the message says how the last attempt failed."""


STATUS_OF_ERRORS: dict[type[Exception], grpc.StatusCode] = {
    ProtocolViolation: grpc.StatusCode.INVALID_ARGUMENT,
    MissingIdentity: grpc.StatusCode.UNAUTHENTICATED,
    IdentityMismatch: grpc.StatusCode.PERMISSION_DENIED,
    VersionMismatch: grpc.StatusCode.FAILED_PRECONDITION,
    ClientFailed: grpc.StatusCode.ABORTED,
    Excluded: grpc.StatusCode.PERMISSION_DENIED,
    InputError: grpc.StatusCode.FAILED_PRECONDITION,
    TimeoutError: grpc.StatusCode.DEADLINE_EXCEEDED,
    TryLater: grpc.StatusCode.UNAVAILABLE,
}
"""Status with which a stream ends because of an error; other errors are bugs of this side."""

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

NO_HELLO = "NoHello"
"""Reason in metrics of a client whose stream ended before its Hello."""

FLOOD = "Flood"
"""Reason in metrics of whoever sent much more than messages, or opened many connections without a message."""

_REFUSAL_REASONS: dict[type[Exception], str] = {IdentityMismatch: "Impostor", MissingIdentity: "Unidentified"}
"""Reasons in metrics that are not the name of the error."""


def refusal_reason(error: Exception) -> str:
    """Return the label of a refusal in the metric ``pslgs_clients_refused``."""
    return _REFUSAL_REASONS.get(type(error), type(error).__name__)


def status_of(error: BaseException) -> grpc.StatusCode:
    """Return the status of ``error`` or of its base class in `STATUS_OF_ERRORS`; INTERNAL if not listed."""
    statuses = (STATUS_OF_ERRORS[kind] for kind in type(error).__mro__ if kind in STATUS_OF_ERRORS)
    return next(statuses, grpc.StatusCode.INTERNAL)


def stream_ended(status: grpc.StatusCode, details: str, retry_seconds: float = 0.0) -> StreamEnded:
    """Return the error of a stream that ended with ``status``: `Refused` if a new attempt would fail as well.

    Args:
        status: gRPC status of the stream.
        details: Reason given by either side; it is reduced to one line that fits a gRPC status.
        retry_seconds: Time that the server asked this client to wait before it connects again.
    """
    return (Refused if status in _REFUSALS else StreamEnded)(status, one_line(details), retry_seconds)
