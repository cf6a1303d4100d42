"""One reconcile of one job: observe, assess, write the status, plan, execute."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from pslgs.spec.errors import InputError
from pslgs_operator.actions import Action
from pslgs_operator.assessment.compute import compute_status, invalid_status
from pslgs_operator.assessment.transitions import transitions
from pslgs_operator.certificate_issuer import CertificateIssuer
from pslgs_operator.due_times import due_times
from pslgs_operator.event_recorder import RETRY_AFTER, EventCorrelator, EventRecorder, JobReference
from pslgs_operator.executor import Executor, execute
from pslgs_operator.job_state import PrunedStatus, TransientState, UnconfirmedStatus
from pslgs_operator.kube_client import (
    JobKey,
    KubeClient,
    NamespaceTerminatingError,
    RejectedError,
    RetryableError,
)
from pslgs_operator.observe import observe, server_address
from pslgs_operator.placement import place_clients
from pslgs_operator.plan_context import PlanContext
from pslgs_operator.planner import plan
from pslgs_operator.pod_warnings import PodWarnings, explain_hanging_pods
from pslgs_operator.queue_facts import with_queue_facts
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
        on_applied: Is given every child as the API server has it after a write.
        instance: Name of the operator's pod.
        now: The clock.
        count_retries: Is given the number of writes that failed in a reconcile and are tried again.
    """

    cluster: KubeClient
    stores: Stores
    settings: Settings
    on_applied: Callable[[Mapping[str, Any]], None]
    instance: str
    now: Callable[[], datetime]
    count_retries: Callable[[int], None] = _ignore
    _pod_warnings: PodWarnings = field(init=False)
    _events: EventRecorder = field(init=False)
    _states: dict[JobKey, TransientState] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_pod_warnings", PodWarnings(self.cluster))
        object.__setattr__(self, "_events", EventRecorder(self.cluster, EventCorrelator(self.instance)))

    async def reconcile(self, key: JobKey) -> timedelta | None:
        """Reconcile a job; returns after what time to do so again at the latest, None once it is gone.

        Raises:
            RetryableError: the API server does not answer, or the status could not be written.
        """
        body = await self._read(key)
        if body is None or "deletionTimestamp" in body["metadata"]:
            if state := self._states.pop(key, None):
                self._events.forget(key, state.uid)
            return None
        this = _Round(key, body, self._state_of(key, body), Requeue(self.now()))
        self._confirm(this)
        try:
            await self._sync(this)
        except NamespaceTerminatingError:
            return RESYNC
        finally:
            await self._events.flush(key)
        if self._events.has_pending(key):
            this.requeue.after(RETRY_AFTER)
        return this.requeue.delay(self.now())

    async def _read(self, key: JobKey) -> Mapping[str, Any] | None:
        """Return the job as the watch has it, or as the API server has it if that may be newer."""
        state, jobs = self._states.get(key), self.stores.training_jobs
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
        snapshot = replace(snapshot, server_asked_since=this.state.asked_since)
        snapshot = await explain_hanging_pods(
            self._pod_warnings, this.key.namespace, snapshot, this.state, this.now
        )
        snapshot = await with_queue_facts(self.cluster, job, snapshot, this.state, self.settings)
        placements = place_clients(job, snapshot)
        status = compute_status(job, snapshot, placements, self.settings, this.now)
        alive = server_address(self.stores, this.key, this.state.uid) is not None and not status.finished
        if not await self._update_status(this, job.status, status, alive=alive):
            return
        if snapshot.departing:
            this.requeue.after(_UNTIL_COLLECTED)
            return
        await self._execute(
            this, job, plan(PlanContext(job, status, snapshot, placements, self.settings, this.now))
        )
        this.requeue.at(*due_times(job, status, snapshot, this.state, self.settings, this.now))

    async def _poll_server(self, this: _Round) -> ServerReply | None:
        """Read the server's status unless that was done just now; what a former pod said is void."""
        server, state = server_address(self.stores, this.key, this.state.uid), this.state
        if server is None:
            return None
        pod, address = server
        if pod != state.pod:
            state.pod, state.polled, state.server_reply = pod, None, None
            state.asked_since = this.now
        if state.polled is None or this.now - state.polled >= self.settings.poll_interval:
            state.polled = this.now
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
        stored = this.state.as_written(this.body.get("status") or {})
        interval = self.settings.status_interval
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
        self._note_pruned_fields(this, document, written.get("status") or {})
        self._record_events(this)
        return True

    def _note_pruned_fields(
        self, this: _Round, document: Mapping[str, Any], stored: Mapping[str, Any]
    ) -> None:
        """Remember a status that was not stored as a whole, so that it is not written again and again."""
        if not (lost := [name for name in document if stored.get(name) != document[name]]):
            this.state.pruned = None
            return
        if this.state.pruned is None:
            _log.warning(
                "%s: the CustomResourceDefinition is older than the operator and does not keep all of "
                "status.%s; apply the definition of the operator's version",
                this.key,
                ", status.".join(lost),
            )
        this.state.pruned = PrunedStatus(document, stored)

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
        self.on_applied(body)
        state.admit(body)

    async def _execute(self, this: _Round, job: TrainingJob, actions: Iterable[Action]) -> None:
        """Carry out actions; if that changed anything, the next reconcile follows at once."""
        state, now, end = this.state, this.now, this.now + _BUDGET
        before, backed_off = state.rejections, state.backed_off(now)
        applied = partial(self._applied, state)
        certificates = CertificateIssuer(job, self.cluster, self.settings, now, applied)
        executor = Executor(job, self.cluster, applied, certificates)
        outcome = await execute(job.name, actions, executor.carry_out, backed_off, lambda: self.now() >= end)
        self.count_retries(len(outcome.failures.keys() - backed_off.keys()))
        state.record_failures(outcome.failures, self.now(), outcome.done if outcome.stopped else None)
        if outcome.done or state.rejections != before:
            # A write that somebody undoes each time must not become a busy loop.
            this.requeue.after(min(_LONGEST_PAUSE, timedelta(seconds=2 ** min(state.busy, 10) - 1)))
            state.busy += 1
        else:
            state.busy = 0

    def _state_of(self, key: JobKey, body: Mapping[str, Any]) -> TransientState:
        metadata, state = body["metadata"], self._states.get(key)
        if state is None or state.uid != metadata["uid"]:
            state = self._states[key] = TransientState(metadata["uid"], metadata["generation"])
        state.observe_generation(metadata["generation"])
        return state
