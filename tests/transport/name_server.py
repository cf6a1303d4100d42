"""A name server of one name, which a test moves from address to address."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address

HEADER = struct.Struct("!6H")
A_RECORD = 1
ANSWER, NO_SUCH_NAME = 0x8180, 0x8183
NAME_OF_THE_QUESTION = 0xC000 | HEADER.size


class NameServer(asyncio.DatagramProtocol):
    """Answers every question for an IPv4 address with `address`; without one there is no such name."""

    def __init__(self) -> None:
        self.address: str | None = None
        self.questions = 0
        self.port = 0

    def connection_made(self, transport) -> None:
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr) -> None:
        self.questions += 1
        number = HEADER.unpack_from(data)[0]
        end = data.index(b"\0", HEADER.size) + 5
        (kind,) = struct.unpack_from("!H", data, end - 4)
        records = b""
        if self.address and kind == A_RECORD:
            head = struct.pack("!HHHIH", NAME_OF_THE_QUESTION, A_RECORD, 1, 30, 4)
            records = head + IPv4Address(self.address).packed
        flags = ANSWER if self.address else NO_SUCH_NAME
        answer = HEADER.pack(number, flags, 1, 1 if records else 0, 0, 0)
        self._transport.sendto(answer + data[HEADER.size : end] + records, addr)


@asynccontextmanager
async def naming() -> AsyncIterator[NameServer]:
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(NameServer, local_addr=("127.0.0.1", 0))
    try:
        yield server
    finally:
        transport.close()
