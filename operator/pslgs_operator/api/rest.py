"""Requests to the API server."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import aiohttp
from kubernetes.aio.client import ApiClient

from pslgs.json_text import parse_json
from pslgs_operator.api.errors import ApiError, retry_after
from pslgs_operator.kube_client import RetryableError

JSON: Final = "application/json"
APPLY: Final = "application/apply-patch+yaml"
JSON_PATCH: Final = "application/json-patch+json"
MERGE_PATCH: Final = "application/merge-patch+json"
METADATA_ITEM: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_ONLY: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
TIMEOUT: Final = timedelta(seconds=30)
"""Maximum time from a request to the end of its answer."""
_CONNECT_TIMEOUT: Final = 5.0


async def request(  # noqa: PLR0913 - what a request has
    client: ApiClient,
    method: str,
    path: str,
    *,
    body: object = None,
    query: Mapping[str, str] | None = None,
    content: str = JSON,
    accept: str = JSON,
) -> dict[str, Any]:
    """Send one request and read its answer.

    Raises:
        ApiError: the API server said no.
        RetryableError: it said nothing.
    """
    headers = {"Accept": accept, "Content-Type": content}
    serialized = await client.param_serialize(
        method,
        path,
        query_params=list((query or {}).items()),
        header_params=headers,
        body=body,
        auth_settings=["BearerToken"],
    )
    timeout = aiohttp.ClientTimeout(total=TIMEOUT.total_seconds(), sock_connect=_CONNECT_TIMEOUT)
    try:
        response = await client.call_api(*serialized, _request_timeout=timeout)
        answer = parse_answer(await response.response.read())
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        message = f"the API server doesn't answer {method} {path}: {error!r}"
        raise RetryableError(message, affects_all=True) from error
    if not 200 <= response.status <= 299:
        wait = retry_after(response.response.headers, datetime.now(UTC))
        raise ApiError.parse(response.status, answer or {}, wait)
    if answer is None:
        raise RetryableError(f"what answers {method} {path} is no API server", affects_all=True)
    return answer


def parse_answer(content: bytes) -> dict[str, Any] | None:
    """Parse an answer; None if it is no object, as from a proxy, or an API server that is starting."""
    try:
        answer = parse_json(content)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None
