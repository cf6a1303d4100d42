"""What an operator may see: a job with three edge nodes, well or in trouble."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from manifests.jobs import EDGE, NOW
from manifests.jobs import job as plain_job
from pslgs_operator.assessment.compute import compute_status
from pslgs_operator.names import client_name, server_name
from pslgs_operator.placement import place_clients
from pslgs_operator.settings import Settings
from pslgs_operator.snapshot import (
    ChildJob,
    ChildJobState,
    ChildPod,
    Node,
    PodPhase,
    Problem,
    ServerReply,
    ServerReport,
    Snapshot,
    TerminationMessage,
)
from pslgs_operator.status.types import Condition, ConditionType, JobStatus
from pslgs_operator.training_job import TrainingJob

SETTINGS = Settings()
CREATED = NOW - timedelta(minutes=5)
LONG_AGO = NOW - timedelta(hours=1)
EDGES = ("edge-0", "edge-1", "edge-2")
CLIENTS = tuple(f"{edge}-0" for edge in EDGES)


def job(status: JobStatus | None = None, **spec: Any) -> TrainingJob:
    storage = {"checkpoint": {"storage": {"size": "1Gi"}}}
    return plain_job(status=status, **(storage | spec))


def nodes(*not_ready: str, edges: Iterable[str] = EDGES) -> tuple[Node, ...]:
    edge_nodes = (Node(name, EDGE, name not in not_ready) for name in edges)
    return (*edge_nodes, Node("gpu-0", {}, "gpu-0" not in not_ready))


def report(phase: str = "Training", **fields: Any) -> ServerReport:
    where = {"epoch": 2, "epochs": 3, "step": 42, "steps": 100, "progress": 0.42, "live": CLIENTS}
    how = {"loss": 0.018, "accuracy": 0.961, "deviation": 0.32, "samples_per_second": 5829.4}
    return ServerReport(phase, **(where | how | {"eta_seconds": 3800.0} | fields))


def server_reply(age: float = 1, phase: str = "Training", **fields: Any) -> ServerReply:
    return ServerReply(report(phase, **fields), NOW - timedelta(seconds=age))


def server_job(**fields: Any) -> ChildJob:
    return child(server_name("digits"), None, None, **fields)


def client_job(client: str, **fields: Any) -> ChildJob:
    return child(client_name("digits", client), client, client.removesuffix("-0"), **fields)


def child(name: str, client: str | None, node: str | None, **fields: Any) -> ChildJob:
    made = ChildJob(name, "uid", client, node, None, _digest(), ChildJobState.ACTIVE, CREATED)
    return replace(made, **fields)


@cache
def _digest() -> str:
    return job().spec_digest


def server_pod(name: str = "digits-server-a", after: float = 1, **fields: Any) -> ChildPod:
    created = CREATED + timedelta(seconds=after)
    pod = ChildPod(name, server_name("digits"), None, created, PodPhase.RUNNING, "gpu-0", started=created)
    return replace(pod, **fields)


def client_pod(client: str, attempt: int = 1, **fields: Any) -> ChildPod:
    child_name = client_name("digits", client)
    created = CREATED + timedelta(seconds=attempt)
    node = client.removesuffix("-0")
    pod = ChildPod(f"{child_name}-{attempt}", child_name, client, created, PodPhase.RUNNING, node)
    return replace(pod, **fields)


def ended(pod: ChildPod, code: int | None, reason: str = "Error", words: str = "", **fields: Any) -> ChildPod:
    phase = PodPhase.SUCCEEDED if code == 0 else PodPhase.FAILED
    said = TerminationMessage(code, words, fields.pop("report", None))
    return replace(pod, phase=phase, exit_code=code, end_reason=reason, termination_message=said, **fields)


def pending(pod: ChildPod, **fields: Any) -> ChildPod:
    return replace(pod, **({"phase": PodPhase.PENDING, "started": None} | fields))


def waiting(pod: ChildPod, reason: str, message: str) -> ChildPod:
    return pending(pod, waiting=Problem(reason, message))


def unscheduled(pod: ChildPod, message: str, reason: str = "Unschedulable") -> ChildPod:
    return pending(pod, node=None, unscheduled=Problem(reason, message))


def sight(**changes: Any) -> Snapshot:
    """A job in training, all well, but for these changes."""
    healthy = Snapshot(
        nodes=nodes(),
        server=server_job(),
        clients={client: client_job(client) for client in CLIENTS},
        pods=(server_pod(), *(client_pod(client) for client in CLIENTS)),
        server_reply=server_reply(),
    )
    return replace(healthy, **changes)


def with_server(*pods: ChildPod, **changes: Any) -> Snapshot:
    """A job whose server has these pods, and has not answered."""
    clients = tuple(client_pod(client) for client in CLIENTS)
    return sight(**({"pods": (*pods, *clients), "server_reply": None} | changes))


def with_client(client: str, *pods: ChildPod, **changes: Any) -> Snapshot:
    """A job that trains without this client, whose pods are these."""
    others = tuple(each for each in CLIENTS if each != client)
    jobs = {each: client_job(each, created=CREATED if pods else NOW) for each in CLIENTS}
    all_pods = (server_pod(), *map(client_pod, others), *pods)
    return sight(**({"pods": all_pods, "server_reply": server_reply(live=others), "clients": jobs} | changes))


def assessed(seen: Snapshot, wanted: TrainingJob | None = None, now: datetime = NOW) -> JobStatus:
    wanted = wanted or job()
    return compute_status(wanted, seen, place_clients(wanted, seen), SETTINGS, now)


def said(status: JobStatus, kind: ConditionType) -> Condition:
    return status.conditions[kind]


IN_TRAINING = assessed(sight())
