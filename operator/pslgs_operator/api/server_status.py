"""Ask a training server's /status."""

from dataclasses import dataclass
from typing import Final

import aiohttp
from yarl import URL

from pslgs_operator import names
from pslgs_operator.parse.server_status import read_report
from pslgs_operator.snapshot import ServerReport

_TIMEOUT: Final = aiohttp.ClientTimeout(total=3)
_LARGEST: Final = 1 << 20
"""Bytes; the names of some ten thousand clients.  A server runs a user's code, so it may send anything."""


@dataclass(frozen=True, slots=True)
class ServerStatusClient:
    """The status pages of all servers, each on its pod's address."""

    session: aiohttp.ClientSession
    port: int

    @classmethod
    def open(cls, port: int = names.HTTP_PORT) -> "ServerStatusClient":
        """Open a session, to be closed by `close`."""
        return cls(aiohttp.ClientSession(timeout=_TIMEOUT, cookie_jar=aiohttp.DummyCookieJar()), port)

    async def close(self) -> None:
        """Close the session."""
        await self.session.close()

    async def report(self, pod_ip: str) -> ServerReport | None:
        """Ask the server at ``pod_ip``; None if it doesn't answer in time, or nothing that can be read."""
        url = URL.build(scheme="http", host=pod_ip, port=self.port, path="/status")
        try:
            async with self.session.get(url, allow_redirects=False) as response:
                if response.status != 200:
                    return None
                content = await _read(response)
            return None if content is None else read_report(content)
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None


async def _read(response: aiohttp.ClientResponse) -> bytes | None:
    content = b""
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > _LARGEST:
            return None
    return content
