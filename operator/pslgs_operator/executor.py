"""Carry out planned actions: stage after stage, the objects of a stage concurrently."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import groupby, islice
from typing import Any, Final, NamedTuple, assert_never

from pslgs.spec.errors import InputError
from pslgs_operator import names
from pslgs_operator.actions import (
    Action,
    Apply,
    Create,
    Delete,
    DeleteTrainingJob,
    IssueClient,
    IssueServer,
    PatchWorkload,
)
from pslgs_operator.certificate_issuer import CertificateIssuer
from pslgs_operator.gvk import JOBS, POD_MONITORS, PODS, SECRETS, TRAINING_JOBS, WORKLOADS
from pslgs_operator.kube_client import (
    KubeClient,
    NamespaceTerminatingError,
    NotLeadingError,
    RejectedError,
    RetryableError,
)
from pslgs_operator.snapshot import Rejection
from pslgs_operator.training_job import TrainingJob

_log = logging.getLogger(__name__)

CarryOut = Callable[[Action], Awaitable[None]]

_AT_ONCE: Final = 16
"""Children of one job that are written together."""
_RENDERED_AT_ONCE: Final = 128
"""Actions that are taken from the plan together. Rendering them takes some 50 ms of computing, during which
nothing else is done: no Lease is renewed and no probe answered."""
_OPTIONAL: Final = f"{POD_MONITORS.kind}/"
"""Without these a job trains as well."""


class Stage(Enum):
    """What comes after each other; a refusal at one of the first two stops the making of later ones."""

    FIXTURES = auto()
    SERVER = auto()
    CLIENTS = auto()
    END = auto()


class Slot(NamedTuple):
    """An action's stage, and the child that it writes; actions of one child are carried out in order."""

    stage: Stage
    child: str


@dataclass(slots=True)
class Outcome:
    """What became of the actions of one reconcile.

    Attributes:
        failures: Why writes of children failed, by child; also of those that are not tried again yet.
        done: Children for which every action succeeded.
        stopped: Whether some children were not begun: the time was over, or the API server fails for all.
    """

    failures: dict[str, Rejection] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    stopped: bool = False


def _never() -> bool:
    return False


async def execute(
    job_name: str,
    actions: Iterable[Action],
    carry_out: CarryOut,
    held: Mapping[str, Rejection],
    is_over: Callable[[], bool] = _never,
) -> Outcome:
    """Carry out the actions; a failure ends the actions of its child, and of no other.

    Args:
        job_name: The job's name.
        actions: What to do; they are taken a few at a time, as they are carried out.
        carry_out: Does one of them.
        held: Children whose writes failed and are not tried again yet.
        is_over: Returns whether no more children should be begun in this reconcile.

    Raises:
        NamespaceTerminatingError: the namespace is going; the rest is left undone.
        NotLeadingError: this process may not write any more; the rest is left undone.
    """
    outcome = Outcome()
    blocked = False
    for stage, group in groupby(actions, key=lambda action: slot_of(job_name, action).stage):
        before = set(outcome.failures)
        while part := tuple(islice(group, _RENDERED_AT_ONCE)):
            failed = outcome.failures.keys() - before
            by_child: dict[str, list[Action]] = {}
            for action in part:
                child = slot_of(job_name, action).child
                if child not in failed and (not blocked or isinstance(action, Delete)):
                    by_child.setdefault(child, []).append(action)
            await _run_in_parallel(by_child, carry_out, held, outcome, is_over)
            if outcome.stopped:
                return outcome
        failed = outcome.failures.keys() - before
        blocked |= stage in {Stage.FIXTURES, Stage.SERVER} and any(map(_is_needed, failed))
    return outcome


def slot_of(job_name: str, action: Action) -> Slot:
    """Return the stage and the child of an action."""
    match action:
        case IssueServer():
            return Slot(Stage.SERVER, names.server_name(job_name))
        case IssueClient(client=client):
            return Slot(Stage.CLIENTS, names.client_name(job_name, client))
        case DeleteTrainingJob():
            return Slot(Stage.END, job_name)
        case Create(manifest) | Apply(manifest):
            return _slot_of_object(job_name, manifest["kind"], manifest["metadata"]["name"])
        case Delete(kind, name):
            return _slot_of_object(job_name, kind, name)
        case PatchWorkload(name):
            return _slot_of_object(job_name, WORKLOADS.kind, name)


def _slot_of_object(job_name: str, kind: str, name: str) -> Slot:
    if kind == JOBS.kind:
        return Slot(Stage.SERVER if name == names.server_name(job_name) else Stage.CLIENTS, name)
    stage = Stage.CLIENTS if kind in {SECRETS.kind, PODS.kind} else Stage.FIXTURES
    return Slot(stage, f"{kind}/{name}")


def _is_needed(child: str) -> bool:
    return not child.startswith(_OPTIONAL)


async def _run_in_parallel(
    by_child: Mapping[str, Sequence[Action]],
    carry_out: CarryOut,
    held: Mapping[str, Rejection],
    outcome: Outcome,
    is_over: Callable[[], bool],
) -> None:
    slots = asyncio.Semaphore(_AT_ONCE)

    async def follow(child: str, actions: Sequence[Action]) -> None:
        async with slots:
            outcome.stopped = outcome.stopped or is_over()
            if not outcome.stopped:
                await _follow(child, actions, carry_out, outcome)

    outcome.failures |= {child: held[child] for child in by_child if child in held}
    # A task group would cancel the other children when one fails in a way that was not expected.
    ends = await asyncio.gather(
        *(follow(child, actions) for child, actions in by_child.items() if child not in held),
        return_exceptions=True,
    )
    for error in ends:
        if error is not None:
            raise error


async def _follow(child: str, actions: Sequence[Action], carry_out: CarryOut, outcome: Outcome) -> None:
    outcome.done.discard(child)
    for action in actions:
        try:
            await carry_out(action)
        except RejectedError as refused:
            outcome.failures[child] = Rejection(_name_of(action), refused.reason, refused.message)
            return
        except InputError as error:
            outcome.failures[child] = Rejection(_name_of(action), "CertificateRefused", str(error))
            return
        except NotLeadingError:
            outcome.stopped = True
            raise
        except RetryableError as error:
            outcome.failures[child] = Rejection(
                _name_of(action), "WriteFailed", str(error), temporary=True, retry_after=error.retry_after
            )
            outcome.stopped |= error.affects_all
            return
        except NamespaceTerminatingError:
            outcome.stopped = True
            raise
    outcome.done.add(child)


def _name_of(action: Action) -> str:
    match action:
        case Create(manifest) | Apply(manifest):
            return f"{manifest['kind']} {manifest['metadata']['name']}"
        case IssueClient(client=client):
            return f"certificate of {client}"
        case IssueServer():
            return "certificate of the server"
        case Delete(kind, name):
            return f"{kind} {name}"
        case PatchWorkload(name):
            return f"{WORKLOADS.kind} {name}"
        case DeleteTrainingJob():
            return "SplitTrainingJob"


def _described(action: Action) -> str:
    match action:
        case Delete(why=why):
            return f"deleted {_name_of(action)}: {why}"
        case PatchWorkload(why=why):
            return f"updated the status of {_name_of(action)}: {why}"
        case DeleteTrainingJob():
            return "deleted SplitTrainingJob: spec.ttlSecondsAfterFinished is over"
        case IssueClient() | IssueServer():
            return f"issued {_name_of(action)}"
        case Create():
            return f"created {_name_of(action)}"
        case Apply():
            return f"applied {_name_of(action)}"


@dataclass(slots=True)
class Executor:
    """Carries out the actions of one reconcile of one job.

    Attributes:
        on_applied: Is given every object as the API server has it after a write.
    """

    job: TrainingJob
    cluster: KubeClient
    on_applied: Callable[[Mapping[str, Any]], None]
    certificates: CertificateIssuer

    async def carry_out(self, action: Action) -> None:
        """Do it.

        Raises:
            RejectedError: the cluster doesn't want it.
            InputError: a certificate cannot be issued.
            RetryableError: the API server doesn't answer.
            NamespaceTerminatingError: the namespace is going.
        """
        await self._carry_out(action)
        _log.info("%s/%s: %s", self.job.namespace, self.job.name, _described(action))

    async def _carry_out(self, action: Action) -> None:
        match action:
            case Create(manifest):
                self.on_applied(await self.cluster.create(manifest))
            case Apply(manifest):
                self.on_applied(await self.cluster.apply(manifest))
            case IssueServer() | IssueClient():
                await self.certificates.issue(action)
            case Delete(kind, name, str(uid)):
                await self.cluster.delete(kind, self.job.namespace, name, uid=uid)
            case Delete(kind, name):
                await self.cluster.delete_child(kind, self.job.namespace, name, owner=self.job.uid)
            case PatchWorkload(name, patch):
                self.on_applied(await self.cluster.patch_workload(self.job.namespace, name, patch))
            case DeleteTrainingJob():
                await self.cluster.delete(
                    TRAINING_JOBS.kind, self.job.namespace, self.job.name, uid=self.job.uid
                )
            case _:
                assert_never(action)
