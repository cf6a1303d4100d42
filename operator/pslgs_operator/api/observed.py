"""A client of the API server that reports each of its requests."""

from collections.abc import Callable
from typing import Any, Final

import aiohttp
from kubernetes.aio.client import ApiClient
from kubernetes.aio.client.rest import RESTResponse
from yarl import URL

OnAnswer = Callable[[str, str, str], None]
"""Is given verb, resource and HTTP status of a request; the status is ``none`` if there was no answer."""

_VERBS: Final = {"POST": "create", "PATCH": "patch", "PUT": "update", "DELETE": "delete"}


def _ignore(_verb: str, _resource: str, _code: str) -> None:
    return


class ObservedApiClient(ApiClient):
    """Reports each request to `on_answer`."""

    on_answer: OnAnswer = staticmethod(_ignore)

    async def call_api(self, method: str, url: str, *arguments: Any, **keywords: Any) -> RESTResponse:  # noqa: ANN401 - theirs
        """Send a request; watches are not reported."""
        target = URL(url)
        if "watch" in target.query:
            return await super().call_api(method, url, *arguments, **keywords)
        verb, resource = described(method, target.path)
        try:
            answer: RESTResponse = await super().call_api(method, url, *arguments, **keywords)
        except (aiohttp.ClientError, TimeoutError, OSError):
            self.on_answer(verb, resource, "none")
            raise
        self.on_answer(verb, resource, str(answer.status))
        return answer


def described(method: str, path: str) -> tuple[str, str]:
    """Return a request's verb and resource as RBAC has them, such as patch and splittrainingjobs/status."""
    parts = path.strip("/").split("/")
    parts = parts[2:] if parts[0] == "api" else parts[3:]
    if len(parts) > 2 and parts[0] == "namespaces":
        parts = parts[2:]
    resource, *name = parts or [""]
    if len(name) > 1:
        resource = f"{resource}/{name[1]}"
    return _VERBS.get(method) or ("get" if name else "list"), resource
