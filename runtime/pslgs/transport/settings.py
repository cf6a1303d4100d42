"""Sizes and time limits of the protocol, and the options of gRPC."""

from dataclasses import dataclass

from pslgs.transport.v1.training_pb2 import DESCRIPTOR

PROTOCOL_VERSION = 2
"""Version of the protocol; the server refuses clients that use another version."""

CHUNK_BYTES = 1 << 20
"""Maximum payload of a chunk of a tensor in bytes; 1 MiB is the fastest over loopback."""

HEADER_LIMIT = (64 << 10) - 16
"""Maximum size of a header in bytes; with the tags and lengths of its frame, it is at most 64 KiB."""

MESSAGE_LIMIT = CHUNK_BYTES + (64 << 10)
"""Maximum size of a gRPC message in bytes, on both sides."""

MERGED_BYTES = 64 << 10
"""Maximum size in bytes of a message into which several queued frames are merged."""

HANDSHAKE_TIMEOUT_SECONDS = 30.0
"""Maximum time of the handshakes of TLS and HTTP/2, after which a server closes the connection."""

IDLE_SECONDS = 60.0
"""Time without a stream after which a server closes a connection."""

STREAMS_A_CONNECTION = 4
"""Maximum number of streams on a connection; a client has one, and the next one when that has ended."""

HELLO_TIMEOUT_SECONDS = 10.0
"""Maximum time until the server has received a Hello, and until the client has received the answer."""

WRITE_TIMEOUT_SECONDS = 120.0
"""Maximum time for which a peer may accept no message, although its connection is alive."""

FLUSH_TIMEOUT_SECONDS = 10.0
"""Maximum time to send the queued messages of a stream that ends with OK."""

STOP_SECONDS = 1.0
"""Maximum time for a server that stops to end the streams of its clients."""

RETRY_LIMIT_SECONDS = 60.0
"""Maximum time that a client waits because a server asked it to connect again later."""


_TRAINING = DESCRIPTOR.services_by_name["Training"]

SERVICE: str = _TRAINING.full_name
METHOD: str = _TRAINING.methods_by_name["Session"].name
"""Service and method of ``v1/training.proto``."""

ADMITTED = ("pslgs-admitted", "yes")
"""Initial metadata of the answer to a client that is admitted."""

RETRY_AFTER = "pslgs-retry-after-ms"
"""Key of the trailing metadata with the time after which a client may connect again."""

FRAME_BYTES = 256 << 10
"""Maximum size of an HTTP/2 frame in bytes.

Larger frames save time on fast links, but delay the answers to pings on slow ones.
"""

Options = list[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Keepalive:
    """Intervals at which both sides ping each other, also without a stream.

    A peer whose machine or network is down is detected after at most the sum of both values.  The server
    tolerates pings that are twice as frequent.

    Attributes:
        interval_seconds: Time between pings.
        timeout_seconds: Maximum time until the answer to a ping, after which the connection is closed.
    """

    interval_seconds: float = 20.0
    timeout_seconds: float = 20.0


DEFAULT_KEEPALIVE = Keepalive()


def server_options(keepalive: Keepalive) -> Options:
    """Return the options of a gRPC server, whose port is not shared with another process."""
    minimum_interval = _milliseconds(keepalive.interval_seconds / 2)
    return [
        *_options(keepalive),
        ("grpc.so_reuseport", 0),
        ("grpc.server_handshake_timeout_ms", _milliseconds(HANDSHAKE_TIMEOUT_SECONDS)),
        ("grpc.max_connection_idle_ms", _milliseconds(IDLE_SECONDS)),
        ("grpc.max_concurrent_streams", STREAMS_A_CONNECTION),
        ("grpc.http2.min_ping_interval_without_data_ms", minimum_interval),
    ]


def client_options(keepalive: Keepalive) -> Options:
    """Return the options of a gRPC channel that has its own connection and its own back-off."""
    return [*_options(keepalive), ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]


def _options(keepalive: Keepalive) -> Options:
    return [
        ("grpc.max_receive_message_length", MESSAGE_LIMIT),
        ("grpc.max_send_message_length", MESSAGE_LIMIT),
        ("grpc.http2.max_frame_size", FRAME_BYTES),
        ("grpc.keepalive_time_ms", _milliseconds(keepalive.interval_seconds)),
        ("grpc.keepalive_timeout_ms", _milliseconds(keepalive.timeout_seconds)),
        # By default, gRPC waits a minute for the answer to a ping, regardless of the keepalive time-out.
        ("grpc.http2.ping_timeout_ms", _milliseconds(keepalive.timeout_seconds)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
