"""Jobs that Kueue's own controller admits and evicts, on nodes."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from cluster.scenarios.trainings import ENDLESS, give_digits, step, training
from cluster.testcluster import access, installing
from cluster.testcluster.helm import helm_of
from cluster.testcluster.kueue import priority_class, queue, start_controller
from cluster.testcluster.stage import Cluster, condition, is_true
from pslgs_operator import names

pytestmark = pytest.mark.e2e

QUEUE = "sites"


@pytest.fixture(scope="module")
def api_server(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """A cluster with Kueue and the operator, which queues whole jobs."""
    artefacts = pytestconfig.rootpath / "artefacts" / "install-kueue"
    try:
        with installing.cluster_with_operator(artefacts, {}) as running:
            start_controller(running, names.EXTERNAL_FRAMEWORK)
            words = ("upgrade", "--reuse-values", "--wait", "--timeout=120s")
            helm_of(running).change(*words, kueue={"enabled": True})
            for node, classes in {"edge-0": range(5), "edge-1": range(5, 10)}.items():
                give_digits(running, node, classes)
            yield running
    except access.UnavailableError as reason:
        pytest.skip(str(reason))


def submit(cluster: Cluster, namespace: str, name: str, priority: str, **spec: Any) -> None:
    job = training(name, **spec)
    job["metadata"]["labels"] = {
        "kueue.x-k8s.io/queue-name": QUEUE,
        "kueue.x-k8s.io/priority-class": priority,
    }
    cluster.apply(namespace, job)


def waits_for(cluster: Cluster, namespace: str, job: str, reason: str) -> None:
    def says(found: Mapping[str, Any]) -> bool:
        return reason in condition(found, "Ready").get("message", "")

    cluster.wait_for(namespace, f"stj/{job}", says, seconds=120)


def test_an_urgent_job_takes_the_quota_of_a_training_which_resumes_afterwards(api_server, namespace):
    kinds = queue(QUEUE, namespace, cpu="1", memory="4Gi")  # pods of a training request 1Gi each
    api_server.run.apply(*kinds, priority_class("nightly", 1), priority_class("urgent", 9))

    submit(api_server, namespace, "first", "nightly", epochs=ENDLESS)
    api_server.wait_for(namespace, "stj/first", lambda job: step(job) > 100, seconds=240)
    submit(api_server, namespace, "second", "nightly", epochs=20, evaluateEveryEpochs=20)
    waits_for(api_server, namespace, "second", "insufficient")
    submit(api_server, namespace, "third", "urgent", epochs=20, evaluateEveryEpochs=20)
    waits_for(api_server, namespace, "first", "evicted")
    api_server.wait_for(namespace, "stj/third", is_true("Complete"), seconds=300)

    api_server.wait_for(namespace, "stj/first", is_true("Ready"), seconds=240)
    told = api_server.logs(namespace, "job/first-server")
    assert "resuming from the checkpoint of step" in told
    jobs = api_server.run.json("--namespace", namespace, "get", "jobs")["items"]
    assert not [each for each in jobs if each["metadata"]["name"].startswith("second-")]

    api_server.run("--namespace", namespace, "delete", "stj/first")
    api_server.wait_for(namespace, "stj/second", is_true("Complete"), seconds=300)
