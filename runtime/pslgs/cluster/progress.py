"""How a job is, as its server says it, or else as its object does: in the form of a server's /status."""

from collections.abc import Mapping
from typing import Any

from pslgs.cluster.access import Access, ClusterError
from pslgs.cluster.training_job import TrainingJob
from pslgs.json_text import parse_json


def current_status(access: Access, job: TrainingJob) -> Mapping[str, Any]:
    """Return the server's own status, or else what its object says."""
    return server_status(access, job) or written_status(job)


def server_status(access: Access, job: TrainingJob) -> Mapping[str, Any] | None:
    """Ask the server for its /status; None if it does not run, does not answer, or may not be asked."""
    server = job.server
    if server is None or not server.is_running or server.http_port is None:
        return None
    try:
        content = access.page(server.name, server.http_port, "/status")
        status = None if content is None else parse_json(content)
    except (ClusterError, ValueError):  # whoever may only view a namespace may not forward ports
        return None
    return status if isinstance(status, dict) and status.keys() >= written_status(job).keys() else None


def written_status(job: TrainingJob) -> dict[str, Any]:
    """Return what the job's object says of the training, as numbers; the operator writes it every 30 s."""
    training, clients = job.status.get("training", {}), job.status.get("clients", {})
    return {
        "phase": job.phase,
        "epoch": training.get("epoch", 0),
        "epochs": training.get("epochs", 0),
        "step": training.get("step", 0),
        "steps": training.get("steps", 0),
        "progress": _number(training.get("progress")) or 0.0,
        "loss": _number(training.get("loss")),
        "accuracy": _number(training.get("accuracy")),
        "metric": _metric(training),
        "deviation": _number(training.get("deviation")),
        "deviationBound": _number(training.get("deviationBound")),
        "samplesPerSecond": _number(training.get("samplesPerSecond")),
        "clients": {"live": clients.get("live", 0), "lost": clients.get("lost", [])},
        "clientsExpected": clients.get("expected", 0),
        "message": "; ".join(job.told()),
    }


def _metric(training: Mapping[str, Any]) -> dict[str, Any] | None:
    if not training.get("metric"):
        return None
    return {
        "name": training["metric"],
        "value": _number(training.get("metricValue")),
        "best": _number(training.get("bestValue")),
        "bestEpoch": training.get("bestEpoch"),
    }


def _number(text: object) -> float | None:
    """Return the number that the operator wrote as a text for people; a share if it is in percent."""
    if not isinstance(text, str):
        return None
    plain = text.replace(",", "").strip()
    try:
        return float(plain.removesuffix("%")) / (100 if plain.endswith("%") else 1)
    except ValueError:
        return None
