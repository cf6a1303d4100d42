"""One reconcile of one job: observe, assess, plan, execute, write the status."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from pslgs.spec.errors import InputError
from pslgs_operator.assessment.compute import compute_status, invalid_status
from pslgs_operator.assessment.timeouts import soonest
from pslgs_operator.assessment.transitions import transitions
from pslgs_operator.event_recorder import RETRY_AFTER, EventCorrelator, EventRecorder, JobReference
from pslgs_operator.executor import Executor, execute
from pslgs_operator.job_state import TransientState
from pslgs_operator.kube_client import JobKey, KubeClient, NamespaceTerminatingError
from pslgs_operator.observe import is_inherited, observe, server_address
from pslgs_operator.placement import place_clients
from pslgs_operator.planner import RESYNC, next_look, plan
from pslgs_operator.pod_warnings import PodWarnings, explain_hanging_pods, explained_again, next_explanation
from pslgs_operator.settings import Settings
from pslgs_operator.snapshot import ServerReply
from pslgs_operator.status.types import JobStatus
from pslgs_operator.store import Stores
from pslgs_operator.training_job import TrainingJob

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

    cluster: KubeClient
    stores: Stores
    settings: Settings
    told: Callable[[Mapping[str, Any]], None]
    instance: str
    now: Callable[[], datetime]
    _complaints: PodWarnings = field(init=False)
    _events: EventRecorder = field(init=False)
    _memories: dict[JobKey, TransientState] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_complaints", PodWarnings(self.cluster))
        object.__setattr__(self, "_events", EventRecorder(self.cluster, EventCorrelator(self.instance)))

    async def reconcile(self, key: JobKey) -> timedelta | None:
        """Look at a job; returns when to look again at the latest, None once it is gone.

        Raises:
            RetryableError: the API server doesn't answer.
        """
        body = await self.cluster.job(*key)
        if body is None or "deletionTimestamp" in body["metadata"]:
            if memory := self._memories.pop(key, None):
                self._events.forget(key, memory.uid)
            return None
        memory = self._remember(key, body["metadata"])
        if is_inherited(self.stores, key, memory.uid):
            return _UNTIL_COLLECTED
        try:
            return await self._attend(key, body, memory)
        except NamespaceTerminatingError:
            return RESYNC

    async def _attend(self, key: JobKey, body: Mapping[str, Any], memory: TransientState) -> timedelta:
        try:
            job = TrainingJob.parse(body)
        except InputError as error:
            old = JobStatus.parse(body.get("status") or {})
            generation = body["metadata"]["generation"]
            status = invalid_status(old, generation, error.violations, self.now())
            await self._say(key, body, old, status, memory)
            return RESYNC
        server_reply = await self._listen(key, memory)
        now = self.now()
        snapshot = observe(self.stores, job, server_reply, memory.rejections)
        snapshot = await explain_hanging_pods(self._complaints, key.namespace, snapshot, memory, now)
        placements = place_clients(job, snapshot)
        status = compute_status(job, snapshot, placements, self.settings, now)
        actions = plan(job, status, snapshot, placements, self.settings, now)
        actor = Executor(job, self.cluster, now, self.told)
        memory.hold(await execute(job.name, actions, actor.carry_out, memory.not_yet(now)), now)
        if actions:  # the status tells of what was just made, or refused
            snapshot = explained_again(
                observe(self.stores, job, server_reply, memory.rejections), memory, now
            )
            status = compute_status(job, snapshot, placements, self.settings, now)
        await self._say(key, body, job.status, status, memory)
        planned = (next_look(job, status, snapshot, self.settings, now), soonest(snapshot, now))
        events = RETRY_AFTER if self._events.has_pending(key) else None
        attempts = (memory.next_attempt(now), next_explanation(snapshot, memory, now), events)
        return min(each for each in (*planned, *attempts) if each is not None)

    async def _listen(self, key: JobKey, memory: TransientState) -> ServerReply | None:
        """Ask the server for its status, unless it was asked just now; what a former pod said is void."""
        server = server_address(self.stores, key)
        if server is None:
            return None
        pod, address = server
        if pod != memory.pod:
            memory.pod, memory.asked, memory.server_reply = pod, None, None
        now = self.now()
        if memory.asked is None or now - memory.asked >= self.settings.poll_interval:
            memory.asked = now
            report = await self.cluster.server_report(address)
            if report is not None:
                memory.server_reply = ServerReply(report, self.now())
        return memory.server_reply

    async def _say(
        self, key: JobKey, body: Mapping[str, Any], old: JobStatus, new: JobStatus, memory: TransientState
    ) -> None:
        """Write the status if it differs, and then tell what happened."""
        written = new.to_json()
        if written != body.get("status"):
            await self.cluster.write_status(*key, memory.uid, written)
            for each in transitions(old, new, key.name):
                _log.info("%s %s: %s", key, each.reason, each.message)
                self._events.record(JobReference(*key, memory.uid), each, self.now())
        await self._events.flush(key)

    def _remember(self, key: JobKey, metadata: Mapping[str, Any]) -> TransientState:
        memory = self._memories.get(key)
        if memory is None or memory.uid != metadata["uid"]:
            memory = self._memories[key] = TransientState(metadata["uid"], metadata["generation"])
        memory.see(metadata["generation"])
        return memory
