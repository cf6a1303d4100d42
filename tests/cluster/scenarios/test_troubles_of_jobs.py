"""What is wrong is said in a condition that names what to do, soon after Kubernetes knows it."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import pytest

from cluster.scenarios import stuck
from cluster.scenarios.stuck import CLIENTS, SERVER
from cluster.scenarios.trainings import give_digits, training
from cluster.testcluster.stage import Cluster, condition, is_true

pytestmark = pytest.mark.e2e

BOUND = timedelta(seconds=15)
OPERATOR = "system:serviceaccount:pslgs-system:pslgs-operator"
Known = Callable[[Cluster, str], datetime]
"""When Kubernetes knew it, by its own word."""


class Trouble(NamedTuple):
    """A job, the condition that becomes true, and words of its message."""

    job: dict[str, Any]
    kind: str
    reason: str
    known: Known
    words: list[str]


@pytest.fixture(autouse=True)
def digits(own_cluster: Cluster) -> None:
    give_digits(own_cluster, "edge-0", range(5))
    give_digits(own_cluster, "edge-1", range(5, 10))


def applied(cluster: Cluster, namespace: str) -> datetime:
    """Of what follows from the job alone."""
    [job] = cluster.run.json("--namespace", namespace, "get", "stj")["items"]
    return time(job["metadata"]["creationTimestamp"])


def looked_for_a_node(cluster: Cluster, namespace: str) -> datetime:
    pods = cluster.run.json("--namespace", namespace, "get", "pods")["items"]
    return min(
        time(condition(pod, "PodScheduled")["lastTransitionTime"])
        for pod in pods
        if condition(pod, "PodScheduled")["status"] == "False"
    )


def warned(reason: str) -> Known:
    """Of what it tells in an Event about a pod or a Job."""

    def first(cluster: Cluster, namespace: str) -> datetime:
        selector = f"--field-selector=type=Warning,reason={reason}"
        events = cluster.run.json("--namespace", namespace, "get", "events", selector)["items"]
        others = [each for each in events if each["involvedObject"]["kind"] != "SplitTrainingJob"]
        return min(time(each["firstTimestamp"] or each["eventTime"]) for each in others)

    return first


def ended(cluster: Cluster, namespace: str) -> datetime:
    """Of what the end of a container shows."""
    pods = cluster.run.json("--namespace", namespace, "get", "pods")["items"]
    states = [each["state"] for pod in pods for each in pod["status"].get("containerStatuses", ())]
    return min(time(each["terminated"]["finishedAt"]) for each in states if "terminated" in each)


def time(written: str) -> datetime:
    return datetime.fromisoformat(written).replace(microsecond=0)


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(
            Trouble(
                stuck.wrong_image(),
                "Degraded",
                "ErrImageNeverPull",
                warned("ErrImageNeverPull"),
                ["pod wrong-image-server-", "on node gpu-0", f"or set {SERVER}.imagePullPolicy"],
            ),
            id="an-image-that-is-on-no-node",
        ),
        pytest.param(
            Trouble(
                stuck.wrong_registry(),
                "Degraded",
                "ImagePullBackOff",
                warned("Failed"),
                [
                    "on node edge-",
                    "registry.invalid/nothing:1",
                    f"check {CLIENTS}.containers[name=client].image",
                ],
            ),
            id="an-image-of-no-registry",
        ),
        pytest.param(
            Trouble(
                stuck.no_node(),
                "Degraded",
                "NoMatchingNodes",
                applied,
                ["example.com/site=nowhere", "spec.clients.nodeSelector", "kubectl label node"],
            ),
            id="no-node-matches",
        ),
        pytest.param(
            Trouble(
                stuck.too_many_gpus(),
                "Degraded",
                "Unschedulable",
                looked_for_a_node,
                ["Insufficient nvidia.com/gpu", "lower spec.server.gpus"],
            ),
            id="no-gpu-is-free",
        ),
        pytest.param(
            Trouble(
                stuck.no_folder(),
                "Degraded",
                "FailedMount",
                warned("FailedMount"),
                [
                    "on node edge-",
                    "/srv/nothing is not a directory",
                    f"correct {CLIENTS}.volumes",
                    "and 1 more",
                ],
            ),
            id="a-folder-that-no-node-has",
        ),
        pytest.param(
            Trouble(
                stuck.no_file(),
                "Failed",
                "BadInput",
                ended,
                ["client edge-", "spec.data.train.path", "/data/nothing.npz"],
            ),
            id="a-file-that-no-node-has",
        ),
        pytest.param(
            Trouble(
                stuck.bad_cut(),
                "Failed",
                "BadInput",
                ended,
                ["spec.model.cutLayer", "layer9", "hidden1"],
            ),
            id="a-layer-that-the-model-lacks",
        ),
        pytest.param(
            Trouble(
                stuck.small_server(),
                "Failed",
                "BackoffLimitExceeded",
                ended,
                ["out of memory", f"raise {SERVER}.resources.limits.memory"],
            ),
            id="a-server-without-memory",
        ),
        pytest.param(
            Trouble(
                stuck.small_clients(),
                "Degraded",
                "OOMKilled",
                ended,
                ["on node edge-", f"raise {CLIENTS}.containers[name=client].resources.limits.memory"],
            ),
            id="clients-without-memory",
        ),
    ],
)
def test_what_is_wrong_and_what_to_do_is_said_in_time(own_cluster, namespace, trouble):
    name = trouble.job["metadata"]["name"]
    own_cluster.apply(namespace, trouble.job)
    found = own_cluster.wait_for(namespace, f"stj/{name}", is_true(trouble.kind), seconds=240)
    said = condition(found, trouble.kind)
    assert said["reason"] == trouble.reason
    assert [each for each in trouble.words if each not in said["message"]] == [], said["message"]
    assert time(said["lastTransitionTime"]) - trouble.known(own_cluster, namespace) <= BOUND
    # The Event is of the first message; another pod may have come into the same trouble since.
    assert trouble.words[0] in told(own_cluster, namespace, name, trouble.kind)


def told(cluster: Cluster, namespace: str, name: str, kind: str) -> str:
    """The messages of the warnings about a condition."""
    events = cluster.events(namespace, name, until=kind)
    return "\n".join(each.message for each in events if (each.type, each.reason) == ("Warning", kind))


def test_data_that_vanish_on_one_node_are_said_and_the_others_go_on(own_cluster, namespace):
    faults = {"minAvailableClients": 1, "clientTimeoutSeconds": 10}
    own_cluster.apply(namespace, training("one-lacks", faults=faults))
    own_cluster.wait_for(namespace, "stj/one-lacks", is_true("Ready"), seconds=240)
    (own_cluster.srv("edge-1") / "digits" / "digits.npz").unlink()
    own_cluster.run("--namespace", namespace, "delete", "job", "one-lacks-client-edge-1-0")
    found = own_cluster.wait_for(
        namespace,
        "stj/one-lacks",
        lambda job: condition(job, "Degraded")["reason"] == "ClientFailed",
        seconds=120,
    )
    said = condition(found, "Degraded")
    assert "client edge-1-0 on node edge-1 failed and is not tried again" in said["message"]
    assert "kubectl delete job one-lacks-client-edge-1-0" in said["message"]

    give_digits(own_cluster, "edge-1", range(5, 10))
    own_cluster.run("--namespace", namespace, "delete", "job", "one-lacks-client-edge-1-0")
    found = own_cluster.wait_for(
        namespace, "stj/one-lacks", lambda job: job["status"]["clients"]["summary"] == "2/2", seconds=90
    )
    own_cluster.wait_for(namespace, "stj/one-lacks", is_well, seconds=60)


def test_jobs_that_are_stuck_cost_few_requests_and_no_writes_but_a_heartbeat(own_cluster, namespace):
    jobs = {
        job["metadata"]["name"]: job
        for job in (stuck.no_node(), stuck.too_many_gpus(), stuck.no_folder(), stuck.wrong_image())
    }
    own_cluster.apply(namespace, *jobs.values())
    for name in jobs:
        own_cluster.wait_for(namespace, f"stj/{name}", is_true("Degraded"), seconds=60)
    own_cluster.wait_for(namespace, "stj/no-folder", waits_for_clients, seconds=240)
    before = own_cluster.mark()
    waited = ("wait", "--for=condition=Complete", "--timeout=30s", f"stj/{next(iter(jobs))}")
    own_cluster.run("--namespace", namespace, *waited, check=False)
    requests = [each for each in own_cluster.requests(before) if each.user == OPERATOR]
    # The operator's hold on the namespace is renewed every few seconds, however many jobs there are.
    about = [each for each in requests if each.namespace == namespace and each.resource != "leases"]
    writes = [each for each in about if each.verb in {"create", "update", "patch", "delete"}]
    heartbeat = ("patch", "splittrainingjobs/status", "no-folder")  # the only job whose server runs
    assert [each for each in writes if (each.verb, each.resource, each.name) != heartbeat] == []
    assert len(writes) <= 2
    assert len(about) <= 40, [f"{each.verb} {each.resource} {each.name}" for each in about]


def test_a_namespace_that_forbids_host_folders_says_so_in_the_words_of_its_admission(own_cluster, namespace):
    restrict(own_cluster, namespace)
    own_cluster.apply(namespace, training("forbidden"))
    found = own_cluster.wait_for(namespace, "stj/forbidden", is_true("Degraded"), seconds=60)
    said = condition(found, "Degraded")
    assert said["reason"] == "RefusedByCluster"
    for word in ("forbidden-client-edge-", 'violates PodSecurity "restricted', "hostPath", "kubectl label"):
        assert word in said["message"]
    known = warned("FailedCreate")(own_cluster, namespace)
    assert time(said["lastTransitionTime"]) - known <= BOUND


def test_a_restricted_namespace_accepts_all_else(own_cluster, namespace):
    restrict(own_cluster, namespace)
    job = training("tidy", epochs=4, evaluateEveryEpochs=4)
    job["spec"]["data"] |= {
        "train": {"format": "ScikitLearn", "name": "digits", "split": "Train"},
        "partition": {"scheme": "IID", "clients": 2},
    }
    client = job["spec"]["clients"]["template"]["spec"]
    del client["volumes"], client["containers"][0]["volumeMounts"]
    own_cluster.apply(namespace, job)
    own_cluster.wait_for(namespace, "stj/tidy", is_true("Complete"), seconds=240)


def restrict(cluster: Cluster, namespace: str) -> None:
    cluster.run("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")


def waits_for_clients(found: Mapping[str, Any]) -> bool:
    return condition(found, "Ready")["reason"] == "WaitingForClients"


def is_well(found: Mapping[str, Any]) -> bool:
    return is_true("Ready")(found) and not is_true("Degraded")(found)
