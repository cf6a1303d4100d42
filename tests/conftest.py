from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import settings

from cluster.testcluster import access

DEFINITIONS = Path(__file__).parents[1] / "crds"

# A busy machine makes a single example slow now and then; pytest-timeout ends what hangs.
settings.register_profile("patient", settings(), deadline=None)
settings.load_profile("patient")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("e2e"):
            item.add_marker("slow")
        if isinstance(item, pytest.Function) and "api_server" in item.fixturenames:
            item.add_marker("api_server")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("cuda"):
        import torch  # noqa: PLC0415 - most tests do without it

        if not torch.cuda.is_available():
            pytest.skip("this needs a GPU that torch can use")


@pytest.fixture(scope="session")
def api_server() -> Iterator[access.ApiServer]:
    """A real API server with controllers and no nodes, one for each worker (docs/testing.md)."""
    try:
        with access.api_server() as server:
            yield server
    except access.UnavailableError as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def own_api_server(api_server: access.ApiServer) -> access.ApiServer:
    """One that may be restarted, that counts requests and lets users in."""
    if api_server.instance is None:
        pytest.skip(f"this needs an API server of its own; {access.EXISTING} names an existing cluster")
    return api_server


@pytest.fixture(scope="session")
def defined(api_server: access.ApiServer) -> access.ApiServer:
    """An API server that knows the kind."""
    api_server.run("apply", "--server-side", "--force-conflicts", f"--filename={DEFINITIONS}")
    # Unlike --for=condition, this waits as well while there are no conditions yet.
    established = '--for=jsonpath={.status.conditions[?(@.type=="Established")].status}=True'
    api_server.run("wait", established, "--timeout=60s", "crd/splittrainingjobs.pslgs.dev")
    return api_server


@pytest.fixture
def namespace(api_server: access.ApiServer) -> Iterator[str]:
    """A namespace of its own for each test."""
    name = f"test-{uuid4().hex[:8]}"
    api_server.run("create", "namespace", name)
    yield name
    api_server.run("delete", "namespace", name, "--wait=false", "--ignore-not-found")
