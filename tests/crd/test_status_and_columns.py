"""The status is kept whole, apart from the spec, and shown by `kubectl get`."""

from collections.abc import Iterator
from typing import Any

import pytest

from cluster.testcluster.access import ApiServer
from crd.jobs import Jobs
from crd.test_definition import NODES
from pslgs_operator.status.types import JobStatus

AT = "2026-01-02T03:04:05Z"
STATUS: dict[str, Any] = {
    "observedGeneration": 1,
    "phase": "Degraded",
    "conditions": [
        {
            "type": kind,
            "status": status,
            "observedGeneration": 1,
            "lastTransitionTime": AT,
            "reason": "Because",
            "message": "edge-1-0 does not answer.",
        }
        for kind, status in (("Accepted", "True"), ("Degraded", "True"), ("Complete", "Unknown"))
    ],
    "startTime": AT,
    "trainingStartTime": AT,
    "completionTime": AT,
    "lastHeartbeatTime": AT,
    "clients": {"expected": 3, "live": 2, "lost": ["edge-1-0"], "lostCount": 1, "summary": "2/3"},
    "training": {
        "epoch": 12,
        "epochs": 100,
        "step": 4692,
        "steps": 39100,
        "epochSummary": "12/100",
        "progress": "12%",
        "loss": "0.0180",
        "accuracy": "96.1%",
        "deviation": "0.320",
        "deviationExpected": "0.300",
        "deviationBound": "0.500",
        "samplesPerSecond": "5,829",
        "eta": "1h 3m",
        "metric": "MacroF1",
        "metricValue": "91.0%",
        "bestValue": "92.5%",
        "bestEpoch": 11,
    },
    "server": {"pod": "digits-server-x", "node": "gpu-0", "address": "10.88.0.7", "restarts": 1},
    "checkpoint": {"step": 4500, "time": AT},
    "model": {"claimName": "digits-checkpoints", "path": "model/model.safetensors"},
}


def paths(value: object, path: str) -> Iterator[str]:
    yield path
    if isinstance(value, dict):
        for name, each in value.items():
            yield from paths(each, f"{path}.{name}")
    if isinstance(value, list):
        for each in value:
            yield from paths(each, f"{path}[]")


def test_the_example_has_every_field_of_the_status() -> None:
    assert set(paths(STATUS, "status")) == {path for path in NODES if path.startswith("status")}


def test_the_operator_writes_what_the_schema_has() -> None:
    assert JobStatus.parse(STATUS).to_json() == STATUS


def test_the_status_is_kept_whole(manifest: dict[str, Any], jobs: Jobs) -> None:
    generation = jobs.create(manifest)["metadata"]["generation"]
    stored = jobs.set_status("digits", STATUS)
    assert stored["status"] == STATUS
    assert stored["metadata"]["generation"] == generation


def test_the_status_is_not_written_with_the_spec(manifest: dict[str, Any], jobs: Jobs) -> None:
    assert "status" not in jobs.create({**manifest, "status": STATUS})


@pytest.mark.parametrize("phase", ["Invalid", "Pending", "Running", "Suspended", "Complete", "Failed"])
def test_each_phase_may_be_written(phase: str, manifest: dict[str, Any], jobs: Jobs) -> None:
    jobs.create(manifest)
    assert jobs.set_status("digits", {"phase": phase})["status"]["phase"] == phase


@pytest.fixture
def shown(manifest: dict[str, Any], jobs: Jobs, defined: ApiServer) -> list[list[str]]:
    """The lines of `kubectl get --output=wide`, cut at runs of spaces."""
    jobs.create(manifest)
    jobs.set_status("digits", STATUS)
    printed = defined.run("--namespace", jobs.namespace, "get", "stj", "--output=wide")
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in printed.splitlines()]


def test_kubectl_get_says_how_it_goes(shown: list[list[str]]) -> None:
    heads, row = shown
    cells = dict(zip(heads, row, strict=True))
    del cells["AGE"], cells["HEARTBEAT"]
    assert cells == {
        "NAME": "digits",
        "PHASE": "Degraded",
        "CLIENTS": "2/3",
        "EPOCH": "12/100",
        "PROGRESS": "12%",
        "LOSS": "0.0180",
        "ACCURACY": "96.1%",
        "DEVIATION": "0.320",
        "SAMPLES/S": "5,829",
        "ETA": "1h 3m",
        "SERVER": "gpu-0",
    }


@pytest.mark.parametrize(
    "condition", ["jsonpath={.status.completionTime}", "condition=Complete"], ids=["either-end", "success"]
)
def test_kubectl_waits_for_the_end_of_a_job(
    condition: str, manifest: dict[str, Any], jobs: Jobs, defined: ApiServer
) -> None:
    jobs.create(manifest)
    complete = [{**each, "status": "True"} for each in STATUS["conditions"] if each["type"] == "Complete"]
    jobs.set_status("digits", {"completionTime": AT, "conditions": complete})
    wait = ("--namespace", jobs.namespace, "wait", "stj/digits", f"--for={condition}", "--timeout=20s")
    assert "condition met" in defined.run(*wait)
