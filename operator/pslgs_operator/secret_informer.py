"""List and watch Secrets of certificates by their metadata; the API server sends no values."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import aiohttp
from kubernetes.aio.client import ApiClient

from pslgs_operator.api.errors import ApiError, Meaning
from pslgs_operator.api.rest import METADATA_ITEM, METADATA_ONLY, parse_answer, request
from pslgs_operator.gvk import AUTHORITIES, SECRETS, Resource
from pslgs_operator.kube_client import JobKey, RetryableError
from pslgs_operator.settings import Settings
from pslgs_operator.store import ObjectKey, Stores, is_newer, object_key

_log = logging.getLogger(__name__)

_CHUNK: Final = "500"
_SERVER_TIMEOUT: Final = "300"
_WATCH_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=90)
"""The API server sends bookmarks about every minute; a connection without them is dead."""
_RETRY_SECONDS: Final = 5.0
_REFUSED_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class _Source:
    """What one list and its watch cover; the namespace is None for all of them."""

    resource: Resource
    namespace: str | None

    @property
    def path(self) -> str:
        return self.resource.path(self.namespace)

    def covers(self, key: ObjectKey) -> bool:
        return self.namespace in {None, key.namespace}


@dataclass(slots=True, eq=False)
class SecretInformer:
    """Keeps the stores of Secrets up to date.

    kopf cannot ask for metadata only, so these watches are the operator's own.

    Attributes:
        concerns: Is called with the jobs that a change affects.
        serves: Returns whether a namespace of ``watchNamespaces`` exists and is watched; others are skipped.
        now: The clock.
        listed: Is set when every source was listed once, or refused.
    """

    client: ApiClient
    stores: Stores
    settings: Settings
    concerns: Callable[[Iterable[JobKey]], None]
    serves: Callable[[str], bool]
    now: Callable[[], datetime]
    listed: asyncio.Event = field(default_factory=asyncio.Event)
    _waiting: set[_Source] = field(init=False)
    _heard: dict[_Source, datetime] = field(init=False)

    def __post_init__(self) -> None:
        namespaces = self.settings.watch_namespaces or (None,)
        self._waiting = {
            _Source(AUTHORITIES, self.settings.namespace),
            *(_Source(SECRETS, each) for each in namespaces),
        }
        self._heard = dict.fromkeys(self._waiting, self.now())

    def ages(self) -> Mapping[str, timedelta]:
        """Return the time since the API server last sent something, by source; the longest one of Secrets."""
        now = self.now()
        found: dict[str, timedelta] = {}
        for source, heard in self._heard.items():
            if not self._is_missing(source):
                label = "secrets" if source.resource == SECRETS else "authorities"
                found[label] = max(now - heard, found.get(label, timedelta(0)))
        return found

    async def run(self) -> None:
        """List and watch until cancelled; a source that fails holds up no other."""
        async with asyncio.TaskGroup() as tasks:
            for source in tuple(self._waiting):
                tasks.create_task(self._follow(source), name=f"watch {source.path}")

    async def _follow(self, source: _Source) -> None:
        version: str | None = None
        while True:
            pause = _RETRY_SECONDS
            if self._is_missing(source):
                self._forget(source)
                version = None
                await asyncio.sleep(pause)
                continue
            try:
                version = version or await self.relist(source.resource, source.namespace)
                self._listed(source)
                version = await self._watch(source, version)
            except ApiError as error:
                version = None
                if error.meaning is Meaning.REJECTED:
                    # Without this right certificates are still issued, but not repaired.
                    self._listed(source)
                    pause = _REFUSED_SECONDS
                _log.warning("%s (%s) cannot be watched: %s", source.path, source.resource.selector, error)
            except RetryableError as error:
                _log.info("%s (%s) is not watched: %s", source.path, source.resource.selector, error)
            else:
                continue
            await asyncio.sleep(pause)

    def _is_missing(self, source: _Source) -> bool:
        """Return whether a source is a namespace of ``watchNamespaces`` that does not exist."""
        is_configured = source.resource == SECRETS and source.namespace is not None
        return is_configured and not self.serves(str(source.namespace))

    def _forget(self, source: _Source) -> None:
        """Forget the Secrets of a namespace that is gone, and do not wait for it."""
        store = self.stores.by_resource[source.resource]
        for key in tuple(store.all()):
            if source.covers(key):
                store.drop(key)
        self._heard[source] = self.now()
        self._listed(source)

    def _listed(self, source: _Source) -> None:
        self._waiting.discard(source)
        if not self._waiting:
            self.listed.set()

    async def relist(self, resource: Resource, namespace: str | None) -> str:
        """List all Secrets of a source and forget those that are gone; returns the list's resourceVersion.

        Raises:
            ApiError: the API server refuses.
            RetryableError: it doesn't answer.
        """
        source, found = _Source(resource, namespace), set[ObjectKey]()
        query = {"labelSelector": resource.selector, "limit": _CHUNK}
        while True:
            page = await request(self.client, "GET", source.path, query=query, accept=METADATA_ONLY)
            for item in page.get("items") or ():
                found.add(object_key(item))
                self.concerns(self.stores.upsert(resource, item))
            version = str(page["metadata"]["resourceVersion"])
            if not page["metadata"].get("continue"):
                break
            query["continue"] = page["metadata"]["continue"]
        self._heard[source] = self.now()
        store = self.stores.by_resource[resource]
        for key, entry in tuple(store.all().items()):
            if source.covers(key) and key not in found and not is_newer(entry.version, version):
                self.concerns(self.stores.affected_jobs(resource, store.drop(key)))
        return version

    async def _watch(self, source: _Source, version: str) -> str | None:
        """Follow a watch to its end; returns where the next begins, None after a list."""
        query = {
            "watch": "true",
            "labelSelector": source.resource.selector,
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": _SERVER_TIMEOUT,
        }
        async for event in _events(self.client, source.path, query):
            body, self._heard[source] = event["object"], self.now()
            match event["type"]:
                case "ADDED" | "MODIFIED":
                    self.concerns(self.stores.upsert(source.resource, body))
                case "DELETED":
                    self.concerns(self.stores.remove(source.resource, body))
                case "ERROR":  # most often 410: the version is too old
                    return None
            version = str(body["metadata"]["resourceVersion"])
        self._heard[source] = self.now()
        return version


async def _events(client: ApiClient, path: str, query: Mapping[str, str]) -> AsyncIterator[dict[str, Any]]:
    serialized = await client.param_serialize(
        "GET",
        path,
        query_params=list(query.items()),
        header_params={"Accept": METADATA_ITEM},
        auth_settings=["BearerToken"],
    )
    try:
        response = (await client.call_api(*serialized, _request_timeout=_WATCH_TIMEOUT)).response
        async with response:
            if response.status != 200:
                raise ApiError.parse(response.status, {"message": await response.text()})
            async for line in _lines(response.content):
                event = parse_answer(line)
                if event is None:
                    raise RetryableError("the watch ended: what came is no event")
                yield event
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise RetryableError(f"the watch ended: {error!r}") from error


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Split a stream into lines; the reader's own iteration fails at lines of more than 128 KiB."""
    rest = b""
    async for chunk in content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line
