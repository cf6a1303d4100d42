"""One look at one job: read, assess, plan, perform, write."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from pslgs.spec.errors import InputError
from pslgs_operator.acting import Actor
from pslgs_operator.assessment.assess import assess
from pslgs_operator.assessment.invalid import invalid_status
from pslgs_operator.assessment.patience import soonest
from pslgs_operator.assessment.story import Happening, story
from pslgs_operator.caches import Caches
from pslgs_operator.cluster import Cluster, Key, NamespaceEndingError, RefusedError
from pslgs_operator.complaints import Complaints
from pslgs_operator.events import event
from pslgs_operator.inquiring import inquire, next_inquiry
from pslgs_operator.job import Job
from pslgs_operator.memory import Memory
from pslgs_operator.observed import Heartbeat
from pslgs_operator.observing import explained, is_inherited, observe, server_address
from pslgs_operator.perform import perform
from pslgs_operator.placement import place_clients
from pslgs_operator.plan import RESYNC, next_look, plan
from pslgs_operator.settings import Settings
from pslgs_operator.status.model import JobStatus

_log = logging.getLogger(__name__)

_UNTIL_COLLECTED: Final = timedelta(seconds=5)
"""How soon to look again for children of an earlier job of the same name, should the watch not tell."""


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Brings jobs to what they ask for, and their statuses to what is.

    Attributes:
        told: Is given every child as the API server has it after a write.
        instance: Name of the operator's pod.
        now: The clock.
    """

    cluster: Cluster
    caches: Caches
    settings: Settings
    told: Callable[[Mapping[str, Any]], None]
    instance: str
    now: Callable[[], datetime]
    _complaints: Complaints = field(init=False)
    _memories: dict[Key, Memory] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_complaints", Complaints(self.cluster))

    async def reconcile(self, key: Key) -> timedelta | None:
        """Look at a job; returns when to look again at the latest, None once it is gone.

        Raises:
            UnavailableError: the API server doesn't answer.
        """
        body = await self.cluster.job(*key)
        if body is None or "deletionTimestamp" in body["metadata"]:
            self._memories.pop(key, None)
            return None
        memory = self._remember(key, body["metadata"])
        if is_inherited(self.caches, key, memory.uid):
            return _UNTIL_COLLECTED
        try:
            return await self._attend(key, body, memory)
        except NamespaceEndingError:
            return RESYNC

    async def _attend(self, key: Key, body: Mapping[str, Any], memory: Memory) -> timedelta:
        try:
            job = Job.parse(body)
        except InputError as error:
            old = JobStatus.parse(body.get("status") or {})
            generation = body["metadata"]["generation"]
            status = invalid_status(old, generation, error.violations, self.now())
            await self._say(key, body, old, status, memory)
            return RESYNC
        heartbeat = await self._listen(key, memory)
        now = self.now()
        observed = observe(self.caches, job, heartbeat, memory.refusals)
        observed = await inquire(self._complaints, key.namespace, observed, memory, now)
        placements = place_clients(job, observed)
        status = assess(job, observed, placements, self.settings, now)
        actions = plan(job, status, observed, placements, self.settings, now)
        actor = Actor(job, self.cluster, now, self.told)
        memory.hold(await perform(job.name, actions, actor.carry_out, memory.not_yet(now)), now)
        if actions:  # the status tells of what was just made, or refused
            observed = explained(observe(self.caches, job, heartbeat, memory.refusals), memory.complaints)
            status = assess(job, observed, placements, self.settings, now)
        await self._say(key, body, job.status, status, memory)
        planned = (next_look(job, status, observed, self.settings, now), soonest(observed, now))
        attempts = (memory.next_attempt(now), next_inquiry(observed, memory, now))
        return min(each for each in (*planned, *attempts) if each is not None)

    async def _listen(self, key: Key, memory: Memory) -> Heartbeat | None:
        """Ask the server for its status, unless it was asked just now; what a former pod said is void."""
        server = server_address(self.caches, key)
        if server is None:
            return None
        pod, address = server
        if pod != memory.pod:
            memory.pod, memory.asked, memory.heartbeat = pod, None, None
        now = self.now()
        if memory.asked is None or now - memory.asked >= self.settings.poll_interval:
            memory.asked = now
            report = await self.cluster.server_report(address)
            if report is not None:
                memory.heartbeat = Heartbeat(report, self.now())
        return memory.heartbeat

    async def _say(
        self, key: Key, body: Mapping[str, Any], old: JobStatus, new: JobStatus, memory: Memory
    ) -> None:
        """Write the status if it differs, and then tell what happened."""
        written = new.to_json()
        if written != body.get("status"):
            await self.cluster.write_status(*key, memory.uid, written)
            for number, happening in enumerate(story(old, new, key.name)):
                memory.events.append(self._event(key, memory, happening, number))
        while memory.events:
            await self._post(key, memory.events[0])
            memory.events.pop(0)

    def _event(self, key: Key, memory: Memory, happening: Happening, number: int) -> dict[str, Any]:
        _log.info("%s %s: %s", key, happening.reason, happening.message)
        return event(
            job=key.name,
            namespace=key.namespace,
            uid=memory.uid,
            instance=self.instance,
            kind=happening.type,
            reason=happening.reason,
            message=happening.message,
            at=self.now() + timedelta(microseconds=number),
        )

    async def _post(self, key: Key, posted: Mapping[str, Any]) -> None:
        try:
            await self.cluster.post_event(posted)
        except RefusedError as refused:
            _log.warning("%s: the event %s was refused: %s", key, posted["reason"], refused)

    def _remember(self, key: Key, metadata: Mapping[str, Any]) -> Memory:
        memory = self._memories.get(key)
        if memory is None or memory.uid != metadata["uid"]:
            memory = self._memories[key] = Memory(metadata["uid"], metadata["generation"])
        memory.see(metadata["generation"])
        return memory
