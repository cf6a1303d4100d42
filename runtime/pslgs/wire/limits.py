"""What one message may measure, and how long a peer may keep the other waiting."""

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
