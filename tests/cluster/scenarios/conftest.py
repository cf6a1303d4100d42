from collections.abc import Iterator

import pytest

from cluster.scenarios.trainings import give_digits
from cluster.testcluster import access, installing, machine
from cluster.testcluster.helm import NAMESPACE
from cluster.testcluster.stage import Cluster, is_true


@pytest.fixture(scope="session")
def cluster(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """gpu-0, edge-0 and edge-1 with the operator, or an existing cluster (docs/how-to/testing.md)."""
    try:
        with installing.cluster_with_operator(pytestconfig.rootpath / "artefacts" / "install") as running:
            yield running
    except access.UnavailableError as reason:
        pytest.skip(str(reason))


@pytest.fixture(autouse=True)
def operator_is_not_killed(cluster: Cluster) -> Iterator[None]:
    """No kubelet kills an operator that works: what it learned and has not written would be lost."""
    before = _kills(cluster)
    yield
    assert _kills(cluster) <= before


def _kills(cluster: Cluster) -> set[tuple[str, str]]:
    found = cluster.run.json("--namespace", NAMESPACE, "get", "events", "--field-selector=reason=Killing")
    return {
        (each["metadata"]["uid"], each["lastTimestamp"])
        for each in found["items"]
        if "failed liveness probe" in each["message"]
    }


@pytest.fixture(scope="session")
def own_cluster(cluster: Cluster) -> Cluster:
    """One whose machines may be taken away."""
    if cluster.instance is None:
        pytest.skip(f"this takes machines away; {access.EXISTING} names an existing cluster")
    return cluster


@pytest.fixture(scope="session")
def api_server(cluster: Cluster) -> Cluster:
    """What `namespace` and `own_api_server` work with."""
    return cluster


@pytest.fixture
def breakable(own_cluster: Cluster) -> Iterator[Cluster]:
    """One whose machines are whole again afterwards."""
    yield own_cluster
    names = [each["metadata"]["name"] for each in own_cluster.run.json("get", "nodes")["items"]]
    for name in names:
        own_cluster.heal(name)
        if not machine.is_on(own_cluster.node(name)):
            own_cluster.power_on(name)
    for name in names:
        own_cluster.wait_for("", f"node/{name}", is_true("Ready"))


@pytest.fixture(scope="session")
def samples(own_cluster: Cluster) -> dict[str, int]:
    """The digits of each client: other ones on each node, and none at the server's."""
    digits = {"edge-0": range(5), "edge-1": range(5, 10)}
    return {f"{node}-0": give_digits(own_cluster, node, classes) for node, classes in digits.items()}
