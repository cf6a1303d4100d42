"""Events about jobs: best effort, aggregated and limited as by client-go's EventCorrelator."""

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from pslgs_operator import names
from pslgs_operator.assessment.transitions import EventSpec
from pslgs_operator.gvk import TRAINING_JOBS
from pslgs_operator.kube_client import (
    JobKey,
    KubeClient,
    NamespaceTerminatingError,
    RejectedError,
    RetryableError,
)
from pslgs_operator.text import cut

_log = logging.getLogger(__name__)

SIMILAR_WITHIN: Final = timedelta(minutes=10)
"""An Event that repeats one of this age or younger increments its count."""
DISTINCT_MESSAGES: Final = 10
"""Events of one reason with more messages than this are combined into one."""
BURST: Final = 25
"""Maximum number of Events that a job can cause at once."""
REFILL: Final = timedelta(minutes=5)
"""Time after which a job may cause one more Event."""
_JOBS: Final = 4096
"""Maximum number of jobs whose Events are remembered; the least recently used is forgotten first."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_COMBINED: Final = "(combined from similar events): "
_LONGEST_MESSAGE: Final = 1024
"""The API server's limit, in bytes."""
_ATTEMPTS: Final = 3
_FLUSH_SECONDS: Final = 5.0
RETRY_AFTER: Final = timedelta(seconds=10)
"""Delay of the next attempt to write an Event."""


class JobReference(NamedTuple):
    """The SplitTrainingJob that an Event is about."""

    namespace: str
    name: str
    uid: str


def event(  # noqa: PLR0913 - the fields of an Event
    job: JobReference,
    spec: EventSpec,
    *,
    instance: str,
    first: datetime,
    last: datetime | None = None,
    count: int = 1,
) -> dict[str, Any]:
    """Render an Event of core/v1.

    Args:
        job: The job.
        spec: Type, reason and message.
        instance: Name of the operator's pod.
        first: When it happened first. It is part of the name, so the same Event is never created twice.
        last: When it happened last, if not at ``first``.
        count: How often it happened.
    """
    return {
        "apiVersion": "v1",
        "kind": "Event",
        # Clients sort Events by seconds; the API server lists them by name, which keeps their order.
        "metadata": {"name": f"{job.name}.{_microseconds(first):016x}", "namespace": job.namespace},
        "involvedObject": {
            "apiVersion": f"{names.GROUP}/{names.VERSION}",
            "kind": TRAINING_JOBS.kind,
            "name": job.name,
            "namespace": job.namespace,
            "uid": job.uid,
        },
        "type": spec.type,
        "reason": spec.reason,
        "action": spec.reason,
        "message": cut(spec.message, _LONGEST_MESSAGE),
        "firstTimestamp": _seconds(first),
        "lastTimestamp": _seconds(last or first),
        "eventTime": first.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "count": count,
        "reportingComponent": names.FIELD_MANAGER,
        "reportingInstance": instance,
        "source": {"component": names.FIELD_MANAGER},
    }


@dataclass(slots=True)
class EventWrite:
    """An Event to write; one that exists already is patched."""

    body: Mapping[str, Any]
    exists: bool
    attempts: int = 0

    @property
    def patch(self) -> dict[str, Any]:
        """The fields that a repetition changes."""
        return {name: self.body[name] for name in ("count", "lastTimestamp", "message")}


@dataclass(slots=True)
class _Series:
    first: datetime
    last: datetime
    count: int = 0


@dataclass(slots=True)
class _JobEvents:
    """The recent Events of one job: series by type, reason and message, and a token bucket."""

    refilled: datetime
    tokens: float = BURST
    series: dict[tuple[str, str], dict[str, _Series]] = field(default_factory=dict)

    def take_token(self, now: datetime) -> bool:
        self.tokens = min(BURST, self.tokens + (now - self.refilled) / REFILL)
        self.refilled = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass(slots=True)
class EventCorrelator:
    """Decides whether an Event is new, repeats another one, or is dropped.

    Repetitions within `SIMILAR_WITHIN` increment a count. If a reason has more than `DISTINCT_MESSAGES`
    messages, further ones are combined. Each job has `BURST` Events, and one more each `REFILL`.
    """

    instance: str
    _jobs: OrderedDict[str, _JobEvents] = field(default_factory=OrderedDict)
    _latest: datetime = _EPOCH

    def correlate(self, job: JobReference, spec: EventSpec, now: datetime) -> EventWrite | None:
        """Return what to write; None if the job has caused too many Events."""
        events = self._events_of(job.uid, now)
        recent = {
            message: each
            for message, each in events.series.get((spec.type, spec.reason), {}).items()
            if now - each.last <= SIMILAR_WITHIN
        }
        events.series[spec.type, spec.reason] = recent
        if spec.message not in recent and len(recent.keys() - {_COMBINED}) >= DISTINCT_MESSAGES:
            key, spec = _COMBINED, spec._replace(message=_COMBINED + spec.message)
        else:
            key = spec.message
        exists = key in recent
        series = recent.setdefault(key, _Series(first=now if exists else self._unique(now), last=now))
        series.count, series.last = series.count + 1, max(now, series.first)
        if not events.take_token(now):
            return None
        body = event(
            job, spec, instance=self.instance, first=series.first, last=series.last, count=series.count
        )
        return EventWrite(body, exists)

    def forget(self, uid: str) -> None:
        """Forget a job that is gone."""
        self._jobs.pop(uid, None)

    def _events_of(self, uid: str, now: datetime) -> _JobEvents:
        events = self._jobs.setdefault(uid, _JobEvents(now))
        self._jobs.move_to_end(uid)
        while len(self._jobs) > _JOBS:
            self._jobs.popitem(last=False)
        return events

    def _unique(self, now: datetime) -> datetime:
        self._latest = max(now, self._latest + timedelta(microseconds=1))
        return self._latest


@dataclass(slots=True)
class EventRecorder:
    """Writes Events; a failure is logged and never raised."""

    cluster: KubeClient
    correlator: EventCorrelator
    _pending: dict[JobKey, deque[EventWrite]] = field(default_factory=dict)

    def record(self, job: JobReference, spec: EventSpec, now: datetime) -> None:
        """Queue an Event for the next `flush`."""
        write = self.correlator.correlate(job, spec, now)
        if write is not None:
            key = JobKey(job.namespace, job.name)
            self._pending.setdefault(key, deque(maxlen=BURST)).append(write)

    def has_pending(self, job: JobKey) -> bool:
        """Return whether Events of a job have not been written yet."""
        return job in self._pending

    async def flush(self, job: JobKey) -> None:
        """Write the queued Events of a job; those that may succeed later stay queued for a few attempts."""
        pending = self._pending.pop(job, None)
        if pending is None:
            return
        left: deque[EventWrite] = deque(maxlen=BURST)
        try:
            async with asyncio.timeout(_FLUSH_SECONDS):
                while pending:
                    if not await self._write(job, pending[0]):
                        left.append(pending[0])
                    pending.popleft()
        except TimeoutError:
            _log.warning("%s: the API server does not answer in time to a write of an Event", job)
            pending[0].attempts += 1
        left.extend(each for each in pending if each.attempts < _ATTEMPTS)
        if left:
            self._pending[job] = left

    def forget(self, job: JobKey, uid: str) -> None:
        """Forget a job that is gone."""
        self._pending.pop(job, None)
        self.correlator.forget(uid)

    async def _write(self, job: JobKey, write: EventWrite) -> bool:
        """Write an Event; False if it should be tried again."""
        metadata = write.body["metadata"]
        try:
            if write.exists and await self.cluster.patch_event(
                metadata["namespace"], metadata["name"], write.patch
            ):
                return True
            await self.cluster.post_event(write.body)
        except (RejectedError, NamespaceTerminatingError) as error:
            _log.warning("%s: Event %s is refused: %s", job, write.body["reason"], error)
        except RetryableError as error:
            write.attempts += 1
            _log.warning(
                "%s: Event %s is not written (attempt %d of %d): %s",
                job, write.body["reason"], write.attempts, _ATTEMPTS, error,
            )  # fmt: skip
            return write.attempts >= _ATTEMPTS
        return True


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


def _seconds(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
