"""A job in a cluster whose nodes, pods and Services have IPv6 addresses only."""

from collections.abc import Iterator
from ipaddress import IPv6Address

import pytest

from cluster.scenarios.trainings import give_digits, server_status, training
from cluster.testcluster import access, installing
from cluster.testcluster.layout import IPV6
from cluster.testcluster.stage import Cluster, is_true

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def api_server(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """A cluster of IPv6 only, with the operator."""
    artefacts = pytestconfig.rootpath / "artefacts" / "install-ipv6"
    try:
        with installing.cluster_with_operator(artefacts, {}, IPV6) as running:
            yield running
    except access.UnavailableError as reason:
        pytest.skip(str(reason))


def test_a_job_trains_where_there_is_only_ipv6(api_server, namespace):
    for node, classes in {"edge-0": range(5), "edge-1": range(5, 10)}.items():
        give_digits(api_server, node, classes)
    api_server.apply(namespace, training("digits", epochs=60, evaluateEveryEpochs=20))
    api_server.wait_for(namespace, "stj/digits", is_true("Ready"), seconds=240)
    assert server_status(api_server, namespace, "digits")["phase"]
    pods = api_server.run.json("--namespace", namespace, "get", "pods")["items"]
    assert len(pods) == 3
    for pod in pods:
        assert [IPv6Address(each["ip"]) for each in pod["status"]["podIPs"]]
    found = api_server.wait_for(namespace, "stj/digits", is_true("Complete"), seconds=240)
    assert float(found["status"]["training"]["accuracy"].rstrip("%")) > 80
    assert found["status"]["training"]["deviation"], "the operator has read the server's status"
