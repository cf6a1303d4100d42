"""What is watched, and whether the watches report every change."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import kopf
from kubernetes.aio.client import ApiClient

from pslgs_operator.api.errors import ApiError, Meaning
from pslgs_operator.api.rest import METADATA_ONLY, request
from pslgs_operator.gvk import (
    FIXTURES,
    JOBS,
    NODES,
    POD_MONITORS,
    PODS,
    TRAINING_JOBS,
    WORKLOADS,
    Resource,
)
from pslgs_operator.kube_client import JobKey, RetryableError
from pslgs_operator.settings import Settings
from pslgs_operator.store import Change, ObjectKey, Store, Stores, is_newer, object_key


def watched(settings: Settings) -> tuple[Resource, ...]:
    """List the kinds of objects that are watched; PodMonitors and Workloads exist in some clusters only."""
    monitors = (POD_MONITORS,) if settings.pod_monitors else ()
    workloads = (WORKLOADS,) if settings.kueue else ()
    return (TRAINING_JOBS, NODES, JOBS, PODS, *FIXTURES, *monitors, *workloads)


SILENT_AFTER: Final = timedelta(seconds=90)
"""A watch through which nothing comes for so long is given up; bookmarks come every minute."""


def tune(settings: kopf.OperatorSettings, resources: Iterable[Resource]) -> None:
    """Set what kopf has to know; times are seconds.

    Nothing arrives over a connection that a proxy has dropped, not even its end: so a watch ends by itself
    after some minutes, and is given up when nothing arrives for longer than the time between two bookmarks.
    """
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.connect_timeout = 10
    settings.watching.inactivity_timeout = SILENT_AFTER.total_seconds()
    settings.watching.chunk_size = 500
    settings.networking.connect_timeout = 10
    settings.networking.request_timeout = 60
    settings.process.ultimate_exiting_timeout = 10  # a process that doesn't end is killed after so long
    settings.scanning.disabled = True  # it would need the right to read all CRDs and namespaces
    settings.posting.enabled = False
    settings.peering.standalone = True
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)  # a line for each event
    for resource in resources:
        if resource.selector:
            where = (resource.group, resource.version, resource.plural)
            settings.watching.label_selectors[where] = resource.selector


INTERVAL: Final = timedelta(minutes=5)
"""Time between two audits; kopf itself notices a watch that has fallen silent (`tune`)."""
_SYNCHRONIZING: Final = timedelta(milliseconds=500)
"""Time between two lists while the watches begin."""
_RELISTED_PAUSE: Final = timedelta(seconds=5)
"""Time from a watch's relist to the audit that finds what was deleted before it."""
STALE_AFTER: Final = timedelta(seconds=90)
"""A watch that has not reported a change for so long does not work; a healthy one needs a second."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What the API server lists of a kind: the objects' resourceVersions, and the list's own."""

    version: str
    objects: Mapping[ObjectKey, str]


def merged(listings: Sequence[Listing]) -> Listing:
    """Put the listings of several namespaces together; they are as old as the oldest."""
    oldest = min((listing.version for listing in listings), key=lambda version: (len(version), version))
    return Listing(oldest, {key: version for each in listings for key, version in each.objects.items()})


@dataclass(frozen=True, slots=True)
class MissedUpdate:
    """A state of an object that the watch has not reported, listed at ``since``."""

    version: str
    since: datetime


@dataclass(slots=True, eq=False)
class WatchHealth:
    """Compares what the watch of one kind of objects reported with lists.

    Attributes:
        complete_at: Time at which the watch was last known to have reported everything.
    """

    cache: Store[Any]
    complete_at: datetime
    _missed: dict[ObjectKey, MissedUpdate] = field(default_factory=dict)
    _overdue: dict[ObjectKey, MissedUpdate] = field(default_factory=dict)
    _listed_at: datetime = field(init=False)

    def __post_init__(self) -> None:
        self._listed_at = self.complete_at

    @property
    def resource(self) -> Resource:
        """What it watches."""
        return self.cache.resource

    def age(self, now: datetime) -> timedelta:
        """Return the time since the watch was last known to have reported everything."""
        return now - self.complete_at

    def is_stale(self) -> bool:
        """Return whether a change has not been reported for too long, as the last two lists show.

        One list is not enough: an object may come and go between a list and the next look at the store.
        """
        return not all(self._has_arrived(key, missed) for key, missed in self._overdue.items())

    def is_complete(self) -> bool:
        """Return whether everything that was listed last has been reported."""
        return all(self._has_arrived(key, missed) for key, missed in self._missed.items())

    def compare(self, listing: Listing, now: datetime) -> list[Change[Any]]:
        """Compare with a list; returns what is gone without a report, and removes it from the store.

        A watch that begins anew after an outage does not report what was deleted meanwhile.
        """
        known = self.cache.all()
        self._missed = {
            key: self._missed_update(key, version, now)
            for key, version in listing.objects.items()
            if key not in known or is_newer(version, known[key].version)
        }
        self._overdue = {
            key: missed for key, missed in self._missed.items() if now - missed.since >= STALE_AFTER
        }
        if all(missed.since == now for missed in self._missed.values()):
            # Where objects change all the time, something of each list is on its way.
            self.complete_at = self._listed_at if self._missed else now
        self._listed_at = now
        gone = [
            key
            for key, entry in known.items()
            if key not in listing.objects and not is_newer(entry.version, listing.version)
        ]
        return [change for key in gone if (change := self.cache.drop(key)) is not None]

    def _missed_update(self, key: ObjectKey, version: str, now: datetime) -> MissedUpdate:
        """Keep a missed update until it arrives; later states of the object count from then on."""
        old = self._missed.get(key)
        return MissedUpdate(version, now) if old is None or self._has_arrived(key, old) else old

    def _has_arrived(self, key: ObjectKey, missed: MissedUpdate) -> bool:
        known = self.cache.all().get(key)
        return known is not None and not is_newer(missed.version, known.version)


_CHUNK = 500


async def list_versions(
    client: ApiClient, resource: Resource, namespace: str | None, *, consistent: bool = True
) -> Listing:
    """List the resource versions of all objects of a kind that the operator watches.

    Args:
        client: Connection to the API server.
        resource: The kind.
        namespace: Where; None for everywhere.
        consistent: Whether the list has to be the newest; otherwise the API server answers from memory.

    Raises:
        ApiError: the API server said no.
        RetryableError: it said nothing.
    """
    query = {"limit": str(_CHUNK)} if consistent else {"resourceVersion": "0"}
    query |= {"labelSelector": resource.selector} if resource.selector else {}
    objects: dict[ObjectKey, str] = {}
    more: dict[str, str] = {}
    while True:
        answer = await request(
            client, "GET", resource.path(namespace), query=query | more, accept=METADATA_ONLY
        )
        objects |= {object_key(item): item["metadata"]["resourceVersion"] for item in answer["items"] or ()}
        metadata = answer["metadata"]
        if not metadata.get("continue"):
            return Listing(metadata["resourceVersion"], objects)
        more = {"continue": metadata["continue"]}


_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Auditor:
    """Compares what the watches reported with what the API server lists.

    Attributes:
        namespaces: Returns the namespaces that are watched; None stands for all.
        concerns: Is called with the jobs that are affected by what the watches did not report.
    """

    client: ApiClient
    stores: Stores
    watches: tuple[WatchHealth, ...]
    namespaces: Callable[[], Sequence[str | None]]
    concerns: Callable[[Iterable[JobKey]], None]
    now: Callable[[], datetime]
    _wanted: asyncio.Event = field(default_factory=asyncio.Event)

    async def synchronize(self) -> None:
        """Wait until the watches have reported every object that exists now."""
        for watch in self.watches:
            while not (await self.audit(watch, consistent=True) and await self._becomes_complete(watch)):
                await asyncio.sleep(_SYNCHRONIZING.total_seconds())

    async def run(self) -> None:
        """Audit at intervals, and when asked to, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(self._until_next().total_seconds()):
                    await self._wanted.wait()
                await asyncio.sleep(_RELISTED_PAUSE.total_seconds())
                self._wanted.clear()
            except TimeoutError:
                pass
            for watch in self.watches:
                await self.audit(watch)

    def _until_next(self) -> timedelta:
        """Return the time until the next audit, which is soon if a watch may be stale."""
        return INTERVAL if all(watch.is_complete() for watch in self.watches) else STALE_AFTER

    def audit_soon(self) -> None:
        """Audit in some seconds, because a watch began anew or what is watched has changed."""
        self._wanted.set()

    async def audit(self, watch: WatchHealth, *, consistent: bool = False) -> bool:
        """Audit one watch; False if the API server doesn't list the objects now, so nothing is learned."""
        resource = watch.resource
        namespaces = self.namespaces()
        if not namespaces:
            return True
        try:
            listings = [
                await list_versions(self.client, resource, each, consistent=consistent)
                for each in (namespaces if resource.namespaced else (None,))
            ]
        except (ApiError, RetryableError) as trouble:
            _log.warning("%s cannot be listed: %s", resource.plural, trouble)
            return isinstance(trouble, ApiError) and trouble.meaning is Meaning.NOT_FOUND  # no such kind
        for change in watch.compare(merged(listings), self.now()):
            _log.info("%s %s is gone, which its watch did not report", resource.kind, change.key.name)
            self.concerns(self.stores.affected_jobs(resource, change))
        return True

    async def _becomes_complete(self, watch: WatchHealth) -> bool:
        """Give a watch some time for what was listed just now."""
        for _ in range(20):
            if watch.is_complete():
                return True
            await asyncio.sleep(_SYNCHRONIZING.total_seconds())
        return False

    def problem(self) -> str | None:
        """Return which watches have not reported a change for too long; None if none."""
        stale = [watch.resource.plural for watch in self.watches if watch.is_stale()]
        return f"the watch of {', '.join(stale)} does not report changes any more" if stale else None
