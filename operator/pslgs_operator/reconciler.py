"""One reconcile of one job: observe, assess, write the status, plan, execute."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from pslgs.spec.errors import InputError
from pslgs_operator.actions import Action
from pslgs_operator.assessment.compute import compute_status, invalid_status
from pslgs_operator.assessment.timeouts import soonest
from pslgs_operator.assessment.transitions import transitions
from pslgs_operator.certificate_issuer import CertificateIssuer
from pslgs_operator.event_recorder import RETRY_AFTER, EventCorrelator, EventRecorder, JobReference
from pslgs_operator.executor import Executor, execute
from pslgs_operator.job_state import TransientState, UnconfirmedStatus
from pslgs_operator.kube_client import (
    JobKey,
    KubeClient,
    NamespaceTerminatingError,
    RejectedError,
    RetryableError,
)
from pslgs_operator.observe import is_inherited, observe, server_address
from pslgs_operator.placement import place_clients
from pslgs_operator.planner import next_look, plan
from pslgs_operator.pod_warnings import PodWarnings, explain_hanging_pods, next_explanation
from pslgs_operator.requeue import RESYNC, Requeue
from pslgs_operator.settings import Settings
from pslgs_operator.snapshot import ServerReply
from pslgs_operator.status.freshness import write_time
from pslgs_operator.status.types import JobStatus
from pslgs_operator.store import ObjectKey, Stores
from pslgs_operator.training_job import TrainingJob

_log = logging.getLogger(__name__)

_UNTIL_COLLECTED: Final = timedelta(seconds=5)
"""Delay of the next reconcile while children of an earlier job of the same name exist."""
_BUDGET: Final = timedelta(seconds=30)
"""After this time a reconcile begins no more writes of children, and leaves the rest to the next one."""
_LONGEST_PAUSE: Final = timedelta(minutes=1)


def _ignore(_: int) -> None:
    return


@dataclass(frozen=True, slots=True)
class _Round:
    """What one reconcile of one job works with."""

    key: JobKey
    body: Mapping[str, Any]
    state: TransientState
    requeue: Requeue

    @property
    def now(self) -> datetime:
        """When it began."""
        return self.requeue.now


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Brings the children of jobs to what their specs ask for, and writes their statuses.

    The status is written before the children. So a failed write of a child cannot prevent it, facts that
    only the children show are stored before the children are deleted, and a job that was changed or replaced
    since it was read causes a conflict before anything is done for it. What the writes led to is in the
    status of the next reconcile, which follows at once.

    Attributes:
        told: Is given every child as the API server has it after a write.
        instance: Name of the operator's pod.
        now: The clock.
        count_retries: Is given the number of writes that failed in a reconcile and are tried again.
    """

    cluster: KubeClient
    stores: Stores
    settings: Settings
    told: Callable[[Mapping[str, Any]], None]
    instance: str
    now: Callable[[], datetime]
    count_retries: Callable[[int], None] = _ignore
    _complaints: PodWarnings = field(init=False)
    _events: EventRecorder = field(init=False)
    _memories: dict[JobKey, TransientState] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_complaints", PodWarnings(self.cluster))
        object.__setattr__(self, "_events", EventRecorder(self.cluster, EventCorrelator(self.instance)))

    async def reconcile(self, key: JobKey) -> timedelta | None:
        """Reconcile a job; returns after what time to do so again at the latest, None once it is gone.

        Raises:
            RetryableError: the API server does not answer, or the status could not be written.
        """
        body = await self._read(key)
        if body is None or "deletionTimestamp" in body["metadata"]:
            if state := self._memories.pop(key, None):
                self._events.forget(key, state.uid)
            return None
        this = _Round(key, body, self._remember(key, body), Requeue(self.now()))
        self._confirm(this)
        if is_inherited(self.stores, key, this.state.uid):
            return _UNTIL_COLLECTED
        try:
            await self._sync(this)
        except NamespaceTerminatingError:
            return RESYNC
        finally:
            await self._events.flush(key)
        if self._events.has_pending(key):
            this.requeue.after(RETRY_AFTER)
        return this.requeue.delay

    async def _read(self, key: JobKey) -> Mapping[str, Any] | None:
        """Return the job as the watch has it, or as the API server has it if that may be newer."""
        state, jobs = self._memories.get(key), self.stores.training_jobs
        if state is not None and state.stale:
            body = await self.cluster.job(*key)
            state.stale = False
            if body is not None:
                jobs.put(body)
            return body
        entry = jobs.all().get(ObjectKey(*key))
        return None if entry is None else entry.value.body

    async def _sync(self, this: _Round) -> None:
        try:
            job = TrainingJob.parse(this.body)
        except InputError as error:
            old = JobStatus.parse(this.body.get("status") or {})
            status = invalid_status(old, this.body["metadata"]["generation"], error.violations, this.now)
            await self._update_status(this, old, status, alive=False)
            return
        server_reply = await self._poll_server(this)
        snapshot = observe(self.stores, job, server_reply, this.state.rejections, this.state.admitted)
        snapshot = await explain_hanging_pods(
            self._complaints, this.key.namespace, snapshot, this.state, this.now
        )
        placements = place_clients(job, snapshot)
        status = compute_status(job, snapshot, placements, self.settings, this.now)
        alive = server_address(self.stores, this.key, this.state.uid) is not None and not status.finished
        if not await self._update_status(this, job.status, status, alive=alive):
            return
        await self._execute(this, job, plan(job, status, snapshot, placements, self.settings, this.now))
        this.requeue.after(
            next_look(job, status, snapshot, self.settings, this.now),
            soonest(snapshot, this.now),
            this.state.next_attempt(this.now),
            next_explanation(snapshot, this.state, this.now),
        )

    async def _poll_server(self, this: _Round) -> ServerReply | None:
        """Read the server's status unless that was done just now; what a former pod said is void."""
        server, state = server_address(self.stores, this.key, this.state.uid), this.state
        if server is None:
            return None
        pod, address = server
        if pod != state.pod:
            state.pod, state.asked, state.server_reply = pod, None, None
        if state.asked is None or this.now - state.asked >= self.settings.poll_interval:
            state.asked = this.now
            report = await self.cluster.server_report(address)
            # A pod's address may be reused: the server of another job can answer.
            if report is not None and report.job_uid in {"", state.uid}:
                state.server_reply = ServerReply(report, self.now())
        return state.server_reply

    async def _update_status(self, this: _Round, old: JobStatus, new: JobStatus, *, alive: bool) -> bool:
        """Write the status if that is due, and record its Events; False if the job is gone.

        Raises:
            RetryableError: it is not written, or that is not known; the job has to be read again.
        """
        stored, interval = this.body.get("status") or {}, self.settings.status_interval
        due = write_time(stored, new.to_json(), alive=alive, interval=interval, now=this.now)
        if due is None or due > this.now:
            this.requeue.at(due)
            return True
        document = replace(new, last_heartbeat_time=this.now).to_json()
        this.state.unconfirmed = UnconfirmedStatus(document, transitions(old, new, this.key.name))
        try:
            written = await self.cluster.write_status(this.body, document)
        except RetryableError:
            this.state.stale = True
            raise
        except RejectedError:
            # The children are made all the same: a training does not depend on its printed status.
            _log.exception("%s: the status is refused; is the CRD as new as the operator?", this.key)
            return True
        if written is None:
            self.stores.training_jobs.drop(ObjectKey(*this.key), this.state.uid)
            return False
        self.stores.training_jobs.put(written)
        self._record_events(this)
        return True

    def _confirm(self, this: _Round) -> None:
        """Record the Events of a status whose write took effect though its answer was lost."""
        unconfirmed = this.state.unconfirmed
        if unconfirmed is not None and unconfirmed.document == this.body.get("status"):
            self._record_events(this)
        this.state.unconfirmed = None

    def _record_events(self, this: _Round) -> None:
        events = this.state.unconfirmed.events if this.state.unconfirmed else ()
        this.state.unconfirmed = None
        for each in events:
            _log.info("%s %s: %s", this.key, each.reason, each.message)
            self._events.record(JobReference(*this.key, this.state.uid), each, self.now())

    def _applied(self, state: TransientState, body: Mapping[str, Any]) -> None:
        self.told(body)
        state.admit(body)

    async def _execute(self, this: _Round, job: TrainingJob, actions: tuple[Action, ...]) -> None:
        """Carry out actions; if that changed anything, the next reconcile follows at once."""
        state, now, end = this.state, this.now, this.now + _BUDGET
        before, not_yet = state.rejections, state.not_yet(now)
        applied = partial(self._applied, state)
        certificates = CertificateIssuer(job, self.cluster, self.settings, now, applied)
        executor = Executor(job, self.cluster, applied, certificates)
        outcome = await execute(job.name, actions, executor.carry_out, not_yet, lambda: self.now() >= end)
        self.count_retries(len(outcome.failures.keys() - not_yet.keys()))
        state.hold(outcome.failures, self.now(), outcome.done if outcome.stopped else None)
        if outcome.done or state.rejections != before:
            # A write that somebody undoes each time must not become a busy loop.
            this.requeue.after(min(_LONGEST_PAUSE, timedelta(seconds=2 ** min(state.busy, 10) - 1)))
            state.busy += 1
        else:
            state.busy = 0

    def _remember(self, key: JobKey, body: Mapping[str, Any]) -> TransientState:
        metadata, state = body["metadata"], self._memories.get(key)
        if state is None or state.uid != metadata["uid"]:
            state = self._memories[key] = TransientState(metadata["uid"], metadata["generation"])
        state.see(metadata["generation"])
        return state
