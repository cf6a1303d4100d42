"""What defines a training is free until the first step, and fixed from then on."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import yaml
from kubernetes.client import ApiException

from crd.jobs import Jobs, refusals

TRAIN = {"format": "ImageFolder", "path": "/data", "classes": ["ant", "bee"]}
NAME = "digits"


class Change(NamedTuple):
    """A change of the spec, and the field that it is refused at."""

    name: str
    spec: str
    path: str


FIXED = [
    Change("cut layer", "{model: {cutLayer: hidden2}}", "spec.model"),
    Change("value of an option", "{model: {options: {width: 9}}}", "spec.model"),
    Change("name of an option", "{model: {options: {width: null, depth: 8}}}", "spec.model"),
    Change("nested option", "{model: {options: {sizes: {first: 2}}}}", "spec.model"),
    Change("path of the data", "{data: {train: {path: /other}}}", "spec.data"),
    Change("classes", "{data: {train: {classes: [ant, cow]}}}", "spec.data"),
    Change("order of the classes", "{data: {train: {classes: [bee, ant]}}}", "spec.data"),
    Change("order of the classes to measure on", "{data: {evaluation: {classes: [bee, ant]}}}", "spec.data"),
    Change("no evaluation", "{data: {evaluation: null}}", "spec.data"),
    Change("a transform's argument", "{data: {transforms: [{name: Pad, padding: 5}]}}", "spec.data"),
    Change(
        "a transform's second argument",
        "{data: {transforms: [{name: Pad, padding: 4, fill: 1}]}}",
        "spec.data",
    ),
    Change("what happens to damaged samples", "{data: {onDamagedSample: Skip}}", "spec.data"),
    Change("a partition", "{data: {partition: {scheme: IID, clients: 2}}}", "spec.data"),
    Change("loss", "{loss: MeanSquaredError}", "spec.loss"),
    Change("an option of the loss", "{lossOptions: {labelSmoothing: 0.1}}", "spec.lossOptions"),
    Change("an average", "{ema: {decay: 0.9}}", "spec.ema"),
    Change("a precision", "{precision: {client: BFloat16}}", "spec.precision"),
    Change("epochs", "{epochs: 4}", "spec.epochs"),
    Change("learning rate", "{optimizer: {learningRate: 0.1}}", "spec.optimizer"),
    Change("seed", "{sampling: {seed: 1}}", "spec.sampling"),
    Change("compression", "{transport: {compression: Int8}}", "spec.transport"),
    Change("clients on a node", "{clients: {perNode: 2}}", "spec.clients.perNode"),
    Change("type of the Service", "{server: {service: {type: LoadBalancer}}}", "spec.server.service.type"),
    Change("address", "{server: {service: {address: gpu.lab}}}", "spec.server.service.address"),
    Change("a claim", "{checkpoint: {storage: {size: 2Gi}}}", "spec.checkpoint.storage"),
    Change("no claim", "{checkpoint: {storage: null}}", "spec.checkpoint.storage"),
]

FREE = [
    "{suspend: true}",
    "{activeDeadlineSeconds: 60}",
    "{evaluateEveryEpochs: 2}",
    "{ema: {}}",
    "{checkpoint: {everySteps: 7}}",
    "{clients: {nodeSelector: {zone: a}}}",
    "{faultTolerance: {minAvailableClients: 2}}",
    "{server: {service: {annotations: {example.com/pool: a}}}}",
    "{server: {gpus: 1, template: {spec: {nodeSelector: {a: b}}}}}",
]


@pytest.fixture
def job(manifest: dict[str, Any], jobs: Jobs) -> Jobs:
    """A job that has not started."""
    manifest["spec"]["model"]["options"] = {"width": 8, "sizes": {"first": 1}}
    manifest["spec"]["data"] = {
        "train": TRAIN,
        "evaluation": TRAIN | {"path": "/test"},
        "transforms": [{"name": "Pad", "padding": 4}],
    }
    manifest["spec"]["checkpoint"] = {"storage": {"size": "1Gi"}}
    jobs.create(manifest)
    return jobs


@pytest.fixture
def started(job: Jobs) -> Jobs:
    """A job whose first step was seen."""
    job.set_status(NAME, {"trainingStartTime": "2026-01-02T03:04:05Z"})
    return job


def refused(jobs: Jobs, spec: str) -> Iterator[str]:
    with pytest.raises(ApiException) as caught:
        jobs.change(NAME, yaml.safe_load(spec))
    for path, words in refusals(caught.value):
        assert "cannot change once training has started; make a new job" in words
        yield path


@pytest.mark.parametrize("change", FIXED, ids=lambda change: change.name.replace(" ", "-"))
def test_what_defines_the_training_is_fixed_once_it_has_started(change: Change, started: Jobs) -> None:
    assert set(refused(started, change.spec)) == {change.path}


@pytest.mark.parametrize("change", FIXED, ids=lambda change: change.name.replace(" ", "-"))
def test_before_the_first_step_everything_may_change(change: Change, job: Jobs) -> None:
    before = json.dumps(job.get(NAME)["spec"])
    assert json.dumps(job.change(NAME, yaml.safe_load(change.spec))["spec"]) != before


@pytest.mark.parametrize("change", FREE)
def test_what_does_not_define_the_training_may_change_at_any_time(change: str, started: Jobs) -> None:
    assert started.change(NAME, yaml.safe_load(change))["metadata"]["generation"] == 2


@pytest.mark.parametrize(
    ("schedule", "fixed"), [("ReduceOnPlateau", True), ("Constant", False)], ids=["followed", "not followed"]
)
def test_a_metric_that_the_learning_rate_follows_is_fixed(job: Jobs, schedule: str, *, fixed: bool) -> None:
    job.change(NAME, {"optimizer": {"schedule": {"name": schedule}}})
    job.set_status(NAME, {"trainingStartTime": "2026-01-02T03:04:05Z"})
    change = "{metric: MacroF1}"
    if fixed:
        assert set(refused(job, change)) == {"spec.metric"}
    else:
        assert job.change(NAME, yaml.safe_load(change))["spec"]["metric"] == "MacroF1"


def test_a_new_name_for_an_argument_of_a_transform_is_the_servers_to_refuse(started: Jobs) -> None:
    """CEL sees no name that the schema hasn't; the digest, which the server compares, has them all."""
    renamed = started.change(NAME, {"data": {"transforms": [{"name": "Pad", "fill": 4}]}})
    assert renamed["spec"]["data"]["transforms"] == [{"name": "Pad", "fill": 4}]


def test_status_and_finished_jobs_can_still_be_written(started: Jobs) -> None:
    assert started.set_status(NAME, {"phase": "Complete"})["status"]["phase"] == "Complete"
