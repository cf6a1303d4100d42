from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import load_kube_config

from cluster.testcluster.access import ApiServer
from cluster.testcluster.helm import NAMESPACE, helm_of
from control_loop.node_leases import leases
from control_loop.operating import OperatorProcess, World, hurried, operator
from control_loop.status_page import StatusPage, status_page
from pslgs_operator.gvk import NODES

SERVICE_ACCOUNT = "system:serviceaccount:pslgs-system:pslgs-operator"


@pytest.fixture(scope="session")
def installed(own_api_server: ApiServer, defined: ApiServer) -> Path:
    """The CRD and the operator's rights are installed; the kubeconfig of its ServiceAccount."""
    run = own_api_server.run
    run.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    helm_of(own_api_server).change("install", crds={"enabled": False})
    run("--namespace", NAMESPACE, "delete", "deployment/pslgs-operator")
    return own_api_server.kubeconfig_of(SERVICE_ACCOUNT, "system:serviceaccounts", "system:authenticated")


@pytest.fixture
async def client(installed: Path) -> AsyncIterator[ApiClient]:
    """A client with the rights of the operator."""
    configuration = Configuration()
    await load_kube_config(config_file=str(installed), client_configuration=configuration)
    async with ApiClient(configuration) as opened:
        yield opened


@pytest.fixture(scope="module")
def shared_operator(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    """An operator that tests of a module share which do not end it; no other may run beside it."""
    arguments = hurried({"authority_collector.INTERVAL": 5})
    with operator(installed, tmp_path_factory.mktemp("operator"), *arguments) as running:
        yield running


@pytest.fixture
def bare_world(own_api_server: ApiServer, installed: Path, namespace: str) -> Iterator[World]:
    """A namespace of its own, and two nodes that are labelled with its name."""
    with leases(own_api_server.kubeconfig) as kept:
        world = World(own_api_server, namespace, kept)
        for node in world.edges:
            world.add_node(node, site=namespace)
        yield world
        own_api_server.direct.delete(NODES.path(), f"site={namespace}")


@pytest.fixture
def world(bare_world: World, shared_operator: OperatorProcess) -> World:
    """The same, looked after by the shared operator."""
    return bare_world


@pytest.fixture
def page() -> Iterator[StatusPage]:
    """A server's status page."""
    with status_page() as served:
        yield served
