"""Options of gRPC, and the sizes and time limits of the protocol."""

from dataclasses import dataclass

from pslgs.transport.v1.training_pb2 import DESCRIPTOR

PROTOCOL_VERSION = 2
"""Version of the protocol; the server refuses clients of another one."""

CHUNK_BYTES = 1 << 20
"""Payload of a tensor's chunks; 1 MiB is where a loopback stream is fastest."""

HEADER_LIMIT = (64 << 10) - 16
"""Maximum bytes of a header; with the tags and lengths of its frame, at most 64 KiB."""

MESSAGE_LIMIT = CHUNK_BYTES + (64 << 10)
"""Bytes of a gRPC message at most, on both sides."""

MERGED_BYTES = 64 << 10
"""Frames that wait to be sent are merged into one message up to this size."""

HELLO_SECONDS = 10.0
"""Until a new client has said Hello, and until it has been answered."""

STALL_SECONDS = 120.0
"""A peer that takes not a single message for so long is dead, though its connection may be alive."""

FLUSH_SECONDS = 10.0
"""For what is still queued when a stream ends in order."""

FAREWELL_SECONDS = 1.0
"""For a server that stops, to tell its clients why."""

RETRY_LIMIT_SECONDS = 60.0
"""Longest time that a server makes a client wait before it may connect again."""


_TRAINING = DESCRIPTOR.services_by_name["Training"]

SERVICE: str = _TRAINING.full_name
METHOD: str = _TRAINING.methods_by_name["Session"].name
"""Service and method of ``v1/training.proto``."""

ADMITTED = ("pslgs-admitted", "yes")
"""Initial metadata by which a client knows that it was admitted."""

RETRY_AFTER = "pslgs-retry-after-ms"
"""Key of the trailing metadata that tells a client when it may connect again."""

FRAME_BYTES = 256 << 10
"""Of HTTP/2: larger ones save time on fast links, and on slow ones the answers to pings wait behind them."""

Options = list[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Keepalive:
    """Each side pings the other, streams or not, and gives the connection up when no answer comes.

    A peer whose machine or network is gone is noticed after the sum of both at the latest; the server
    puts up with pings that are twice as frequent.
    """

    interval_seconds: float = 20.0
    timeout_seconds: float = 20.0


DEFAULT_KEEPALIVE = Keepalive()


def server_options(keepalive: Keepalive) -> Options:
    """Make the settings of a server; its port is never shared with another process."""
    least = _milliseconds(keepalive.interval_seconds / 2)
    return [
        *_options(keepalive),
        ("grpc.so_reuseport", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", least),
    ]


def client_options(keepalive: Keepalive) -> Options:
    """Make the settings of a client; each of its channels has a connection, and a back-off, of its own."""
    return [*_options(keepalive), ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]


def _options(keepalive: Keepalive) -> Options:
    return [
        ("grpc.max_receive_message_length", MESSAGE_LIMIT),
        ("grpc.max_send_message_length", MESSAGE_LIMIT),
        ("grpc.http2.max_frame_size", FRAME_BYTES),
        ("grpc.keepalive_time_ms", _milliseconds(keepalive.interval_seconds)),
        ("grpc.keepalive_timeout_ms", _milliseconds(keepalive.timeout_seconds)),
        # Without it gRPC waits a minute for the answer to a ping, whatever the time-out of keepalive.
        ("grpc.http2.ping_timeout_ms", _milliseconds(keepalive.timeout_seconds)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
