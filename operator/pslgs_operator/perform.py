"""Carries out what was planned: in order, clients beside each other, and as far as the cluster lets it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from enum import Enum, auto
from itertools import groupby
from typing import Final, NamedTuple

from pslgs.spec.errors import InputError
from pslgs_operator import names
from pslgs_operator.actions import Action, Annotate, Apply, Delete, DeleteJob, IssueClient, IssueServer
from pslgs_operator.cluster import RefusedError
from pslgs_operator.observed import Refusal
from pslgs_operator.resources import JOBS, POD_MONITORS, SECRETS

CarryOut = Callable[[Action], Awaitable[None]]

_AT_ONCE: Final = 16
"""Lanes of one job that are under way together."""
_OPTIONAL: Final = f"{POD_MONITORS.kind}/"
"""Without these a job trains as well."""


class Stage(Enum):
    """What comes after each other; a refusal at one of the first two stops the making of later ones."""

    FIXTURES = auto()
    SERVER = auto()
    CLIENTS = auto()
    END = auto()


class Place(NamedTuple):
    """An action's stage, and its lane there: one lane's actions follow each other, whatever others do."""

    stage: Stage
    lane: str


async def perform(
    job_name: str, actions: Iterable[Action], carry_out: CarryOut, held: Mapping[str, Refusal]
) -> dict[str, Refusal]:
    """Carry out all that can be; returns what was refused by lane, now or lately.

    Args:
        job_name: The job's name.
        actions: What to do.
        carry_out: Does one of them.
        held: Lanes that were refused lately and are not tried again yet.

    Raises:
        UnavailableError: the API server doesn't answer; the rest is left undone.
        NamespaceEndingError: the namespace is going; the rest is left undone.
    """
    refusals: dict[str, Refusal] = {}
    blocked = False
    for stage, group in groupby(actions, key=lambda action: place(job_name, action).stage):
        lanes: dict[str, list[Action]] = {}
        for action in group:
            if not blocked or isinstance(action, Delete):
                lanes.setdefault(place(job_name, action).lane, []).append(action)
        refused = await _along(lanes, carry_out, held)
        refusals |= refused
        blocked |= stage in {Stage.FIXTURES, Stage.SERVER} and any(map(_is_needed, refused))
    return refusals


def place(job_name: str, action: Action) -> Place:
    """Tell where an action comes."""
    match action:
        case IssueServer():
            return Place(Stage.SERVER, names.server_name(job_name))
        case IssueClient(client=client):
            return Place(Stage.CLIENTS, names.client_name(job_name, client))
        case DeleteJob():
            return Place(Stage.END, job_name)
        case Apply(manifest):
            return _place_of(job_name, manifest["kind"], manifest["metadata"]["name"])
        case Annotate(kind, name) | Delete(kind, name):
            return _place_of(job_name, kind, name)


def _place_of(job_name: str, kind: str, name: str) -> Place:
    if kind == JOBS.kind:
        return Place(Stage.SERVER if name == names.server_name(job_name) else Stage.CLIENTS, name)
    stage = Stage.CLIENTS if kind == SECRETS.kind else Stage.FIXTURES
    return Place(stage, f"{kind}/{name}")


def _is_needed(lane: str) -> bool:
    return not lane.startswith(_OPTIONAL)


async def _along(
    lanes: Mapping[str, Sequence[Action]], carry_out: CarryOut, held: Mapping[str, Refusal]
) -> dict[str, Refusal]:
    refusals = {lane: held[lane] for lane in lanes if lane in held}
    slots = asyncio.Semaphore(_AT_ONCE)

    async def follow(lane: str, actions: Sequence[Action]) -> None:
        async with slots:
            refusal = await _try(actions, carry_out)
        if refusal is not None:
            refusals[lane] = refusal

    try:
        async with asyncio.TaskGroup() as tasks:
            for lane, actions in lanes.items():
                if lane not in held:
                    tasks.create_task(follow(lane, actions))
    except ExceptionGroup as group:
        raise group.exceptions[0] from group
    return refusals


async def _try(actions: Sequence[Action], carry_out: CarryOut) -> Refusal | None:
    for action in actions:
        try:
            await carry_out(action)
        except RefusedError as refused:
            return Refusal(_child(action), refused.reason, refused.message)
        except InputError as error:
            return Refusal(_child(action), "CertificateRefused", str(error))
    return None


def _child(action: Action) -> str:
    match action:
        case Apply(manifest):
            return f"{manifest['kind']} {manifest['metadata']['name']}"
        case IssueClient(client=client):
            return f"certificate of {client}"
        case IssueServer():
            return "certificate of the server"
        case Annotate(kind, name) | Delete(kind, name):
            return f"{kind} {name}"
        case DeleteJob():
            return "SplitTrainingJob"
