"""Kubernetes' own client with an API server in memory behind it, in place of a connection."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.client.rest import RESTResponse
from multidict import CIMultiDict

from fake_api.server import Answer, Request

Handler = Callable[[Request], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class _Response:
    """The part of an `aiohttp.ClientResponse` that is read."""

    status: int
    headers: CIMultiDict[str]
    content: bytes
    reason: str = ""

    async def read(self) -> bytes:
        return self.content

    async def json(self) -> Any:
        return json.loads(self.content)

    def release(self) -> None:
        """Have nothing to release."""


class _RestClient:
    """In place of a pool of connections."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def request(
        self,
        method: str,
        url: str,
        headers: Any = None,
        body: Any = None,
        post_params: Any = None,  # noqa: ARG002 - likewise
        _request_timeout: Any = None,
    ) -> RESTResponse:
        answer = await self._handler(Request.parse(method, url, headers or {}, body))
        found = CIMultiDict({"Content-Type": "application/json", **answer.headers})
        lines = answer.body.get("watched", [answer.body])
        content = "".join(f"{json.dumps(line)}\n" for line in lines)
        return RESTResponse(_Response(answer.status, found, content.encode()))

    async def close(self) -> None:
        """Have nothing to close."""


class FakeApiClient(ApiClient):
    """Sends requests to a handler; without the TLS context that the real one loads."""

    def __init__(self, handler: Handler) -> None:
        self.configuration = Configuration(host="http://fake")
        self.rest_client = _RestClient(handler)
        self.default_headers = {"User-Agent": "pslgs-tests/1"}
        self.cookie = None
        self.client_side_validation = False
