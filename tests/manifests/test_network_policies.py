"""What the policies of a job admit in a network that enforces them."""

from typing import Any

import pytest

from manifests.jobs import clients, job
from manifests.network_semantics import Host, Peer, Pod, Port, may_connect
from pslgs_operator import names
from pslgs_operator.manifests.networkpolicy import client_policy, server_policy
from pslgs_operator.settings import Settings

SETTINGS = Settings(
    operator_labels={"component": "operator"}, monitoring_pod_labels={"app.kubernetes.io/name": "prometheus"}
)
SERVER, CLIENT = (Pod("lab", names.labels("digits", role)) for role in (names.SERVER, names.CLIENT))
CLIENT_OF_ANOTHER_JOB = Pod("lab", names.labels("other", names.CLIENT))
NAMESAKE = Pod("elsewhere", names.labels("digits", names.CLIENT))
OPERATOR = Pod("pslgs-system", {"component": "operator"})
NEIGHBOUR_OF_OPERATOR = Pod("pslgs-system")
PROMETHEUS = Pod("monitoring", {"app.kubernetes.io/name": "prometheus"})
NEIGHBOUR_OF_PROMETHEUS = Pod("monitoring")
NAME_SERVER, STRANGER = Pod("kube-system", {"k8s-app": "kube-dns"}), Pod("default")
INTERNET, NODE, METADATA = Host("203.0.113.9"), Host("192.168.1.7"), Host("169.254.169.254")

GRPC, HTTP, HTTPS = Port(7443), Port(8080), Port(443)
DNS, DNS_TCP = Port(53, "UDP"), Port(53)


def admitted(source: Peer, target: Peer, port: Port, settings: Settings = SETTINGS, **spec: Any) -> bool:
    wanted = job(**spec)
    policies = [server_policy(wanted, settings), client_policy(wanted, settings)]
    return may_connect(policies, source, target, port)


@pytest.mark.parametrize(
    ("source", "target", "port", "may"),
    [
        pytest.param(CLIENT, SERVER, GRPC, True, id="client-streams"),
        pytest.param(CLIENT, SERVER, HTTP, False, id="client-reads-status"),
        pytest.param(CLIENT_OF_ANOTHER_JOB, SERVER, GRPC, False, id="client-of-another-job"),
        pytest.param(NAMESAKE, SERVER, GRPC, False, id="client-of-another-namespace"),
        pytest.param(STRANGER, SERVER, GRPC, False, id="stranger-streams"),
        pytest.param(OPERATOR, SERVER, HTTP, True, id="operator-reads-status"),
        pytest.param(NEIGHBOUR_OF_OPERATOR, SERVER, HTTP, False, id="neighbour-of-the-operator"),
        pytest.param(PROMETHEUS, SERVER, HTTP, True, id="prometheus-scrapes-server"),
        pytest.param(PROMETHEUS, CLIENT, HTTP, True, id="prometheus-scrapes-client"),
        pytest.param(PROMETHEUS, SERVER, GRPC, False, id="prometheus-streams"),
        pytest.param(NEIGHBOUR_OF_PROMETHEUS, CLIENT, HTTP, False, id="neighbour-of-prometheus"),
        pytest.param(SERVER, CLIENT, HTTP, False, id="server-connects-to-client"),
        pytest.param(CLIENT, NAME_SERVER, DNS, True, id="client-resolves"),
        pytest.param(CLIENT, NAME_SERVER, DNS_TCP, True, id="client-resolves-over-tcp"),
        pytest.param(CLIENT, METADATA, DNS, True, id="client-resolves-at-a-link-local-address"),
        pytest.param(CLIENT, METADATA, Port(80), False, id="client-reads-metadata-of-the-cloud"),
        pytest.param(CLIENT, INTERNET, DNS, False, id="client-resolves-elsewhere"),
        pytest.param(CLIENT, INTERNET, HTTPS, False, id="client-sends-data-out"),
        pytest.param(CLIENT, INTERNET, GRPC, False, id="client-streams-to-a-stranger"),
        pytest.param(CLIENT, STRANGER, HTTPS, False, id="client-sends-data-to-a-pod"),
        pytest.param(SERVER, INTERNET, HTTPS, True, id="server-stores-its-model"),
    ],
)
def test_of_a_job_within_the_cluster_admit(source: Peer, target: Peer, port: Port, *, may: bool) -> None:
    assert admitted(source, target, port) is may


@pytest.mark.parametrize(
    ("service", "target", "port", "may"),
    [
        pytest.param({"type": "NodePort", "address": "192.168.1.7"}, NODE, Port(30123), True, id="node-port"),
        pytest.param(
            {"type": "NodePort", "address": "192.168.1.7"}, INTERNET, Port(30123), False, id="another-node"
        ),
        pytest.param(
            {"type": "NodePort", "address": "192.168.1.7"}, NODE, Port(22), False, id="another-port"
        ),
        pytest.param({"type": "NodePort", "address": "h"}, INTERNET, Port(30123), True, id="node-by-name"),
        pytest.param(
            {"type": "NodePort", "address": "h"}, INTERNET, HTTPS, False, id="another-port-of-names"
        ),
        pytest.param(
            {"type": "NodePort", "address": "fd00::7"}, Host("fd00::7"), Port(30123), True, id="ipv6"
        ),
        pytest.param({"type": "LoadBalancer"}, INTERNET, GRPC, True, id="balancer-not-known-yet"),
        pytest.param({"type": "LoadBalancer"}, INTERNET, HTTPS, False, id="another-port-than-the-balancers"),
        pytest.param({"address": "192.168.1.7"}, NODE, GRPC, True, id="address-of-the-user"),
        pytest.param({"address": "192.168.1.7"}, INTERNET, GRPC, False, id="another-address"),
    ],
)
def test_of_a_job_reached_from_outside_admit(
    service: dict[str, Any], target: Peer, port: Port, *, may: bool
) -> None:
    assert admitted(CLIENT, target, port, server={"service": service}) is may
    assert admitted(CLIENT, SERVER, GRPC, server={"service": service})
    assert admitted(INTERNET, SERVER, GRPC, server={"service": service})


def test_with_open_egress_admit_every_connection_of_a_client_but_none_to_it() -> None:
    spec = {"clients": clients(networkPolicy={"egress": "Open"})}
    assert admitted(CLIENT, INTERNET, HTTPS, **spec)
    assert not admitted(STRANGER, CLIENT, HTTP, **spec)


def test_of_the_user_can_add_targets() -> None:
    wanted = job()
    database = Pod("lab", {"app": "database"})
    more = {
        "metadata": {"namespace": "lab"},
        "spec": {
            "podSelector": {"matchLabels": names.selector("digits", names.CLIENT)},
            "policyTypes": ["Egress"],
            "egress": [{"to": [{"podSelector": {"matchLabels": {"app": "database"}}}]}],
        },
    }
    assert not may_connect([client_policy(wanted, SETTINGS)], CLIENT, database, Port(5432))
    assert may_connect([client_policy(wanted, SETTINGS), more], CLIENT, database, Port(5432))


def test_admit_all_pods_of_the_monitoring_namespaces_unless_labels_are_set() -> None:
    for pod in (NEIGHBOUR_OF_PROMETHEUS, NEIGHBOUR_OF_OPERATOR):
        assert admitted(pod, SERVER, HTTP, Settings())
    assert not admitted(PROMETHEUS, SERVER, HTTP, Settings(monitoring_namespaces=()))
