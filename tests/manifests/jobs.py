"""Jobs as the API server would show them, with the least that they need."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from pslgs.spec import SplitTrainingJob, parse_job
from pslgs_operator.status.types import JobStatus
from pslgs_operator.training_job import TrainingJob

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
UID = "11111111-2222-3333-4444-555555555555"
EDGE = {"pslgs.dev/edge": "true"}


def body(name: str = "digits", namespace: str = "lab", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "pslgs.dev/v1alpha1",
        "kind": "SplitTrainingJob",
        "metadata": {"name": name, "namespace": namespace, "uid": UID, "generation": 1},
        "spec": {
            "model": {"architecture": "mlp", "cutLayer": "hidden1"},
            "data": {"train": {"format": "NumPy", "path": "/data/{client}.npz"}},
            "epochs": 3,
            "clients": {"nodeSelector": EDGE},
        }
        | spec,
    }


def job(
    name: str = "digits",
    namespace: str = "lab",
    status: JobStatus | None = None,
    uid: str = UID,
    **spec: Any,
) -> TrainingJob:
    """A job with these fields of its spec."""
    manifest = _parsed(json.dumps(body(name, namespace, **spec)))
    return TrainingJob(name, namespace, uid, 1, status or JobStatus(), manifest)


@cache
def _parsed(text: str) -> SplitTrainingJob:
    return parse_job(json.loads(text))


def partition(clients: int) -> dict[str, Any]:
    return {
        "train": {"format": "ScikitLearn", "name": "digits"},
        "partition": {"scheme": "IID", "clients": clients},
    }


def clients(**fields: Any) -> Mapping[str, Any]:
    return {"nodeSelector": EDGE, **fields}
