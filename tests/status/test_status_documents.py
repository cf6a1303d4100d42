"""The status as the API has it."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from manifests.jobs import NOW
from pslgs_operator.status.types import (
    Clients,
    Condition,
    ConditionStatus,
    ConditionType,
    JobStatus,
    ModelPlace,
    Phase,
    SavedCheckpoint,
    Server,
    Training,
)

CRD = Path(__file__).parents[2] / "crds" / "splittrainingjobs.yaml"
FULL = JobStatus(
    observed_generation=3,
    conditions={
        kind: Condition(kind, ConditionStatus.FALSE, "Because", "it is so", 3, NOW) for kind in ConditionType
    },
    start_time=NOW,
    training_start_time=NOW,
    completion_time=NOW,
    last_heartbeat_time=NOW,
    clients=Clients(3, 2, ("edge-1-0",), 1),
    training=Training(
        2,
        3,
        42,
        100,
        "42%",
        "0.0180",
        "96.1%",
        "0.320",
        "0.300",
        "0.500",
        "5,829",
        "1h 3m",
        "R2",
        "0.9",
        "0.91",
        1,
    ),
    server=Server("digits-server-a", "gpu-0", "digits-server.lab.svc:7443", 1),
    checkpoint=SavedCheckpoint(40, NOW),
    model=ModelPlace("digits-checkpoints", "model.safetensors"),
)


def schema() -> dict[str, Any]:
    version = yaml.safe_load(CRD.read_text())["spec"]["versions"][0]
    return version["schema"]["openAPIV3Schema"]["properties"]["status"]


def fields_of(document: dict[str, Any]) -> dict[str, Any]:
    """Nested names of a document or of a schema's properties."""
    return {name: fields_of(value) if isinstance(value, dict) else None for name, value in document.items()}


def properties(part: dict[str, Any]) -> dict[str, Any]:
    return {name: properties(value) if "properties" in value else None
            for name, value in part["properties"].items()}  # fmt: skip


def test_the_fields_are_those_of_the_contract() -> None:
    assert fields_of(FULL.to_json()) == {
        "observedGeneration": None,
        "phase": None,
        "conditions": None,
        "startTime": None,
        "trainingStartTime": None,
        "completionTime": None,
        "lastHeartbeatTime": None,
        "clients": dict.fromkeys(("expected", "live", "lost", "lostCount", "summary")),
        "training": dict.fromkeys(
            ("epoch", "epochs", "step", "steps", "epochSummary", "progress", "loss", "accuracy", "deviation",
             "deviationExpected", "deviationBound", "samplesPerSecond", "eta",
             "metric", "metricValue", "bestValue", "bestEpoch")
        ),
        "server": dict.fromkeys(("pod", "node", "address", "restarts")),
        "checkpoint": dict.fromkeys(("step", "time")),
        "model": dict.fromkeys(("claimName", "path")),
    }  # fmt: skip


def test_the_fields_are_those_of_the_schema_so_that_none_is_pruned() -> None:
    assert fields_of(FULL.to_json()) == properties(schema())


def test_conditions_have_the_fields_of_the_schema() -> None:
    item = schema()["properties"]["conditions"]["items"]
    assert all(set(each) == set(item["properties"]) for each in FULL.to_json()["conditions"])


def test_phases_and_truths_are_those_of_the_schema() -> None:
    item = schema()["properties"]["conditions"]["items"]
    assert set(schema()["properties"]["phase"]["enum"]) == set(Phase)
    assert set(item["properties"]["status"]["enum"]) == set(ConditionStatus)


def test_what_is_printed_is_derived() -> None:
    document = FULL.to_json()
    assert (document["clients"]["summary"], document["training"]["epochSummary"]) == ("2/3", "2/3")
    assert document["startTime"] == "2026-01-02T03:04:05Z"


def test_a_status_is_read_as_it_was_written() -> None:
    assert JobStatus.parse(FULL.to_json()) == FULL


def test_an_empty_status_has_a_phase_and_nothing_else() -> None:
    assert JobStatus().to_json() == {"observedGeneration": 0, "phase": "Pending", "conditions": []}
    assert JobStatus.parse({}) == JobStatus()


@pytest.mark.parametrize("field", [each.name for each in fields(JobStatus)])
def test_what_is_not_known_is_left_out_and_read_as_such(field: str) -> None:
    partial = replace(FULL, **{field: getattr(JobStatus(), field)})
    assert JobStatus.parse(partial.to_json()) == partial


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({"conditions": "no list", "clients": [], "training": None}, id="other-types"),
        pytest.param(
            {"conditions": [{"type": "New"}, {"type": "Ready", "status": "Perhaps"}, 7]}, id="conditions"
        ),
        pytest.param({"clients": {"live": "3", "lost": 3, "expected": True}}, id="numbers"),
        pytest.param({"startTime": "yesterday", "completionTime": 7}, id="times"),
        pytest.param({"checkpoint": {"step": 3}, "model": {"path": "model.safetensors"}}, id="half-known"),
    ],
)
def test_what_cannot_be_read_is_not_known(document: dict[str, Any]) -> None:
    assert JobStatus.parse(document) == JobStatus()


def holding(*kinds: ConditionType, refused: bool = False) -> JobStatus:
    accepted = ConditionStatus.FALSE if refused else ConditionStatus.TRUE
    truths = {ConditionType.ACCEPTED: accepted} | dict.fromkeys(kinds, ConditionStatus.TRUE)
    return JobStatus(
        conditions={kind: Condition(kind, truth, "X", "", 1, NOW) for kind, truth in truths.items()}
    )


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        pytest.param(JobStatus(), Phase.PENDING, id="unseen"),
        pytest.param(holding(), Phase.PENDING, id="accepted"),
        pytest.param(holding(refused=True), Phase.INVALID, id="refused"),
        pytest.param(holding(ConditionType.READY), Phase.RUNNING, id="ready"),
        pytest.param(holding(ConditionType.READY, ConditionType.DEGRADED), Phase.DEGRADED, id="degraded"),
        pytest.param(holding(ConditionType.SUSPENDED), Phase.SUSPENDED, id="suspended"),
        pytest.param(holding(ConditionType.COMPLETE), Phase.COMPLETE, id="complete"),
        pytest.param(holding(ConditionType.FAILED, refused=True), Phase.FAILED, id="failed-and-then-refused"),
    ],
)
def test_the_phase_is_the_conditions_in_one_word(status: JobStatus, phase: Phase) -> None:
    assert status.phase is phase
