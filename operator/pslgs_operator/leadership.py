"""Leader election: which replica works, in which namespaces, and the gate that its writes pass.

Two Leases guard a write. One lies in the operator's namespace: one of the release's replicas holds it, and
renews it every two seconds. The other lies in each namespace with jobs, under one fixed name: one of the
releases that watch the namespace holds it, and whichever of its replicas leads renews it.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from kubernetes.aio.client import ApiClient

from pslgs_operator import names
from pslgs_operator.api.errors import ApiError
from pslgs_operator.api.rest import request
from pslgs_operator.gvk import LEASES
from pslgs_operator.kube_client import RetryableError
from pslgs_operator.lease import NAMESPACE, REPLICA, Candidate, LeaseRecord, LeaseStep

_log = logging.getLogger(__name__)

NAMESPACE_LEASE: Final = f"{names.PLURAL}.{names.GROUP}"
"""The name of the Lease in each namespace with jobs."""
NAMESPACE_RETRY: Final = timedelta(seconds=20)
"""Time between two attempts to take a namespace's Lease that another release holds."""
_ATTEMPT_TIMEOUT: Final = 4.0
_STALLED_AFTER: Final = 60.0

Clock = Callable[[], float]


def boot_clock() -> float:
    """Seconds since the machine started, with those that it was suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(slots=True)
class LeaseKeeper:
    """Takes, renews and releases one Lease."""

    client: ApiClient
    namespace: str
    name: str
    candidate: Candidate
    clock: Clock = boot_clock

    def __str__(self) -> str:
        return f"Lease {self.namespace}/{self.name}"

    @property
    def holder(self) -> str:
        """Who held it when it was last read."""
        return self.candidate.record.holder if self.candidate.record is not None else ""

    def may_write(self) -> bool:
        """Return whether this process holds it now, for certain."""
        return self.candidate.may_write(self.clock())

    async def attempt(self) -> None:
        """Take or renew it if that is possible now.

        Raises:
            ApiError: the API server refuses.
            RetryableError: the API server doesn't answer in time.
        """
        try:
            async with asyncio.timeout(_ATTEMPT_TIMEOUT):
                if self.may_write() and await self._write():
                    return
                self.candidate = self.candidate.observed(await self._read(), self.clock())
                if self.candidate.step(self.clock()) is not LeaseStep.WAIT:
                    await self._write()
        except TimeoutError as error:
            raise RetryableError(f"the API server doesn't answer within {_ATTEMPT_TIMEOUT:.0f} s") from error

    async def release(self) -> None:
        """Let others take it at once; does nothing if it is not held, or cannot be written now."""
        body = self.candidate.released()
        self.candidate = Candidate(self.candidate.identity, self.candidate.timing)
        if body is None:
            return
        try:
            async with asyncio.timeout(_ATTEMPT_TIMEOUT):
                await request(self.client, "PUT", LEASES.path(self.namespace, self.name), body=body)
        except (ApiError, RetryableError, TimeoutError) as error:
            _log.warning("%s is not released, it expires by itself: %s", self, error)

    async def _read(self) -> LeaseRecord | None:
        try:
            return LeaseRecord.parse(
                await request(self.client, "GET", LEASES.path(self.namespace, self.name))
            )
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def _write(self) -> bool:
        """Write it; False if another candidate was faster, or it was deleted."""
        sent = self.clock()
        is_new = self.candidate.record is None
        body = self.candidate.manifest(self.namespace, self.name, datetime.now(UTC))
        path = LEASES.path(self.namespace, None if is_new else self.name)
        try:
            answer = await request(self.client, "POST" if is_new else "PUT", path, body=body)
        except ApiError as error:
            if error.status == 409 or (error.status == 404 and not is_new):
                return False
            raise
        self.candidate = self.candidate.confirmed(LeaseRecord.parse(answer), sent)
        return True


class NamespaceLeases:
    """The Leases of the namespaces with jobs, held in the name of the release."""

    def __init__(self, client: ApiClient, release: str, clock: Clock = boot_clock) -> None:
        self._client = client
        self._release = release
        self._clock = clock
        self._keepers: dict[str, LeaseKeeper] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._tried: dict[str, float] = {}

    def may_write(self, namespace: str) -> bool:
        """Return whether this release holds the namespace's Lease now, for certain."""
        keeper = self._keepers.get(namespace)
        return keeper is not None and keeper.may_write()

    def foreign(self) -> dict[str, str]:
        """Return the namespaces that another release holds, and which."""
        return {
            namespace: keeper.holder
            for namespace, keeper in self._keepers.items()
            if keeper.holder not in {"", self._release}
        }

    async def keep_only(self, namespaces: Set[str]) -> None:
        """Release the Leases of all other namespaces, e.g. because their last job is gone."""
        for namespace in self._keepers.keys() - namespaces:
            await self._keepers.pop(namespace).release()
            self._tried.pop(namespace, None)

    async def hold(self, namespace: str) -> bool:
        """Make sure that this release holds the namespace's Lease; False if another one does."""
        if self.may_write(namespace):
            return True
        async with self._locks.setdefault(namespace, asyncio.Lock()):
            if self.may_write(namespace):
                return True
            tried = self._tried.get(namespace, float("-inf"))
            if self._clock() - tried < NAMESPACE_RETRY.total_seconds() / 2:
                return False
            self._tried[namespace] = self._clock()
            await self._attempt(namespace)
        return self.may_write(namespace)

    async def renew(self) -> None:
        """Renew all that are held and due."""
        due = self._clock() + NAMESPACE.renew_deadline - NAMESPACE.renew_period
        for namespace, keeper in list(self._keepers.items()):
            if keeper.may_write() and keeper.candidate.valid_until <= due:
                await self._attempt(namespace)

    async def _attempt(self, namespace: str) -> None:
        keeper = self._keepers.get(namespace)
        if keeper is None:
            candidate = Candidate(self._release, NAMESPACE)
            keeper = LeaseKeeper(self._client, namespace, NAMESPACE_LEASE, candidate, self._clock)
            self._keepers[namespace] = keeper
        before = keeper.holder
        try:
            await keeper.attempt()
        except (ApiError, RetryableError) as error:
            _log.warning(
                "jobs in namespace %s are not reconciled until its %s can be written: %s",
                namespace,
                keeper,
                error,
            )
            return
        if keeper.holder not in {before, self._release}:
            _log.warning(
                "jobs in namespace %s are not reconciled by this release (%s), because the release %s holds "
                "its %s; let only one of them watch the namespace",
                namespace,
                self._release,
                keeper.holder,
                keeper,
            )


@dataclass(slots=True)
class Leadership:
    """Runs the work while this replica holds the Lease of its release.

    Attributes:
        own_namespace: The operator's own namespace; what lies there belongs to the release.
    """

    replica: LeaseKeeper
    namespaces: NamespaceLeases
    own_namespace: str
    _last_look: float = field(init=False)

    def __post_init__(self) -> None:
        self._last_look = self.replica.clock()

    def leads(self) -> bool:
        """Return whether this replica may write."""
        return self.replica.may_write()

    def gate(self, namespace: str | None) -> str | None:
        """Return why this process may not write to the namespace now; None if it may."""
        if not self.replica.may_write():
            return f"this replica doesn't hold {self.replica}"
        if namespace not in {None, self.own_namespace} and not self.namespaces.may_write(str(namespace)):
            return f"this release doesn't hold Lease {namespace}/{NAMESPACE_LEASE}"
        return None

    def problem(self) -> str | None:
        """Return why the election is not alive; None if it is."""
        stalled = self.replica.clock() - self._last_look
        if stalled > _STALLED_AFTER:
            return f"the leader election has not checked {self.replica} for {stalled:.0f} s"
        return None

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Work whenever this replica leads, until cancelled; then release the Lease.

        Raises:
            Exception: the work failed.
        """
        term: asyncio.Task[None] | None = None
        pause = self.replica.candidate.timing.renew_period
        try:
            while True:
                await self._look()
                if term is not None and (term.done() or not self.leads()):
                    ended, term = term, None
                    await _end(ended)
                    _log.warning("this replica no longer holds %s and is a standby now", self.replica)
                if term is None and self.leads():
                    _log.info("this replica holds %s and leads now", self.replica)
                    term = asyncio.create_task(_call(work), name="leader")
                if term is None:
                    await asyncio.sleep(pause)
                else:
                    await asyncio.wait([term], timeout=pause)
        finally:
            if term is not None:
                await _end(term)
            await self.replica.release()

    async def _look(self) -> None:
        before = self.replica.holder
        try:
            await self.replica.attempt()
        except (ApiError, RetryableError) as error:
            _log.warning("%s cannot be read or written: %s", self.replica, error)
        self._last_look = self.replica.clock()
        holder = self.replica.holder
        if holder and holder != before and not self.leads():
            _log.info("this replica is a standby; %s is held by %s", self.replica, holder)


async def _call(work: Callable[[], Awaitable[None]]) -> None:
    await work()


async def _end(task: "asyncio.Task[None]") -> None:
    """Cancel a task and wait for its end; raises what it raised."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()


def keep_replica_lease(client: ApiClient, namespace: str, name: str, identity: str) -> LeaseKeeper:
    """Make the keeper of the Lease that the replicas of a release hold in turn."""
    return LeaseKeeper(client, namespace, name, Candidate(identity, REPLICA))
