"""HTTP/2 by hand over TLS, as far as a hostile client needs it: what no gRPC library would send."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from hostile.client import Known
from pslgs.identity.identity import AUTHORITY_FILE, CERTIFICATE_FILE, PRIVATE_KEY_FILE
from pslgs.transport.settings import METHOD, SERVICE

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, CONTINUATION = 0, 1, 3, 4, 6, 9
ACK, END_HEADERS = 1, 4
INITIAL_WINDOW_SIZE = 4


class Http2Connection:
    """A connection on which any frames can be sent; what comes is read and dropped, pings are answered.

    Attributes:
        answered: Set when the server has sent headers, which it does once a Hello is admitted.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.answered = asyncio.Event()
        self._ended = False

    async def send(self, *frames: bytes) -> None:
        """Send frames, or any bytes.

        Raises:
            ConnectionError: the server has closed the connection.
        """
        if self._ended or self._writer.is_closing():
            raise ConnectionResetError
        self._writer.write(b"".join(frames))
        await self._writer.drain()
        await asyncio.sleep(0)  # drain alone does not let others run, not even what notices the end

    async def read_to_end(self) -> None:
        """Answer pings and settings until the server closes the connection."""
        with suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            while True:
                head = await self._reader.readexactly(9)
                payload = await self._reader.readexactly(int.from_bytes(head[:3], "big"))
                if head[3] == HEADERS:
                    self.answered.set()
                if head[3] in {PING, SETTINGS} and not head[4] & ACK:
                    await self.send(frame(head[3], ACK, 0, payload if head[3] == PING else b""))
        self._ended = True


def tls_context(
    known: Known, versions: tuple[ssl.TLSVersion, ssl.TLSVersion] | None = None
) -> ssl.SSLContext:
    """Return a client's context with its certificate; ``versions`` are the oldest and newest of TLS."""
    context = ssl.create_default_context(cafile=str(known.folder / AUTHORITY_FILE))
    context.load_cert_chain(known.folder / CERTIFICATE_FILE, known.folder / PRIVATE_KEY_FILE)
    context.set_alpn_protocols(["h2"])
    if versions is not None:
        context.minimum_version, context.maximum_version = versions
    return context


@asynccontextmanager
async def http2(known: Known, **settings: int) -> AsyncIterator[Http2Connection]:
    """Open a connection with a valid certificate, and send preface and settings; they may set the window."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1",
        known.port,
        ssl=tls_context(known),
        server_hostname="localhost",
        local_addr=(known.source, 0),
    )
    connection = Http2Connection(reader, writer)
    reading = asyncio.create_task(connection.read_to_end())
    try:
        values = [
            INITIAL_WINDOW_SIZE.to_bytes(2, "big") + size.to_bytes(4, "big") for size in settings.values()
        ]
        await connection.send(PREFACE, frame(SETTINGS, 0, 0, b"".join(values)))
        yield connection
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        writer.transport.abort()


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return a frame of HTTP/2."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def call(stream: int, *more: tuple[str, str], flags: int = END_HEADERS) -> bytes:
    """Return the frame that opens a call of the service."""
    fields = (
        (":method", "POST"),
        (":scheme", "https"),
        (":path", f"/{SERVICE}/{METHOD}"),
        (":authority", "localhost"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        *more,
    )
    return frame(HEADERS, flags, stream, b"".join(_literal(*each) for each in fields))


def data(stream: int, payload: bytes) -> bytes:
    """Return a DATA frame."""
    return frame(DATA, 0, stream, payload)


def message(length: int, beginning: bytes = b"") -> bytes:
    """Return the prefix of a gRPC message of ``length`` bytes, and its beginning."""
    return b"\0" + length.to_bytes(4, "big") + beginning


def _literal(name: str, value: str) -> bytes:
    """Encode a header without index and compression, of fewer than 127 bytes each (RFC 7541, 6.2.2)."""
    return b"\0" + bytes((len(name),)) + name.encode() + bytes((len(value),)) + value.encode()
