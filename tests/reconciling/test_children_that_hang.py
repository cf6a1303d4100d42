"""A child that does not start: Kubernetes says why in Events only, and is asked for them seldom."""

from datetime import timedelta
from typing import Any

import pytest

from pslgs_operator import names
from reconciling.test_reconciling import KEY, SERVER, Stage, manifest

CLIENT = names.client_name("digits", "edge-0-0")


def complain(stage: Stage, name: str, reason: str, message: str) -> None:
    stage.cluster.complain(name, reason, message)


def asked(stage: Stage) -> int:
    return stage.cluster.calls["read warnings"]


def keep_pod(stage: Stage, **status: Any) -> None:
    labels = names.labels(KEY.name, names.CLIENT) | {"batch.kubernetes.io/job-name": CLIENT}
    labels[names.JOB_UID_LABEL] = stage.uid
    annotations = {names.CLIENT_ANNOTATION: "edge-0-0"}
    metadata = {"name": "stuck", "namespace": KEY.namespace, "labels": labels, "annotations": annotations}
    stage.cluster.keep(
        {"kind": "Pod", "metadata": metadata, "spec": {"nodeName": "edge-0"}, "status": status}
    )


@pytest.fixture
async def stuck():
    """A job one of whose clients has a pod that has hung for a while."""
    stage = Stage()
    stage.cluster.apply_job(manifest())
    await stage.look()
    keep_pod(stage, phase="Pending")
    complain(stage, "stuck", "FailedMount", "/srv/digits is not a directory")
    await stage.look(10)
    return stage


async def test_a_pod_whose_volume_is_missing_says_so_and_what_to_do(stuck):
    [degraded] = [each for each in stuck.status["conditions"] if each["type"] == "Degraded"]
    assert degraded["reason"] == "FailedMount"
    assert degraded["message"].startswith(
        "pod stuck on node edge-0 waits: /srv/digits is not a directory; make what is missing, or correct "
        "spec.clients.template.spec.volumes"
    )


@pytest.mark.parametrize(
    ("said", "what_to_do"),
    [
        pytest.param("exceeded quota: small", "raise the quota", id="a-quota"),
        pytest.param(
            'violates PodSecurity "restricted:latest": hostPath volumes',
            "kubectl label --overwrite namespace default pod-security.kubernetes.io/enforce=privileged",
            id="a-folder-of-the-node",
        ),
        pytest.param('violates PodSecurity "restricted": privileged', "correct securityContext", id="rights"),
    ],
)
async def test_a_job_whose_pod_is_refused_says_why_and_what_to_do(said, what_to_do):
    stage = Stage()
    stage.cluster.apply_job(manifest())
    await stage.settle()
    complain(stage, SERVER, "FailedCreate", said)
    await stage.look(10)
    assert stage.condition("Degraded") == ("True", "RefusedByCluster")
    [degraded] = [each for each in stage.status["conditions"] if each["type"] == "Degraded"]
    assert said in degraded["message"]
    assert what_to_do in degraded["message"]


async def test_it_is_asked_seldom_and_more_so_the_longer_it_lasts(stuck):
    assert asked(stuck) == 1
    for _ in range(100):
        await stuck.look(0.5)
    assert asked(stuck) <= 7
    await stuck.look(120)  # nobody here creates the pods of the other Jobs, which is told now
    before, writes = asked(stuck), stuck.cluster.writes
    for _ in range(60):
        await stuck.look(60)
    assert asked(stuck) - before <= 60
    assert stuck.cluster.writes == writes


async def test_the_next_look_comes_in_time_to_ask_again(stuck):
    assert await stuck.look(1) <= timedelta(seconds=10)


async def test_what_was_said_of_a_pod_that_runs_now_is_forgotten(stuck):
    keep_pod(stuck, phase="Running")
    await stuck.look()
    assert "is not a directory" not in str(stuck.status)


async def test_a_job_of_which_nothing_hangs_asks_nothing(stuck):
    stuck.cluster.apply_job(manifest(suspend=True))
    await stuck.look()
    stuck.cluster.remove("Pod", "stuck")
    await stuck.look()
    before = asked(stuck)
    await stuck.look(60)
    assert asked(stuck) == before


async def test_a_namespace_that_is_being_deleted_refuses_nothing():
    stage = Stage()
    stage.cluster.apply_job(manifest())
    await stage.look()
    stage.cluster.ending.add(KEY.namespace)
    stage.cluster.remove("Job", SERVER)
    said = f"unable to create new content in namespace {KEY.namespace} because it is being terminated"
    complain(stage, CLIENT, "FailedCreate", said)
    for _ in range(10):
        await stage.look(10)
        assert stage.condition("Degraded")[1] not in {"RefusedByCluster", "PodsNotCreated"}
