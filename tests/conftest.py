import re
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

import hypothesis_profiles
from cluster.testcluster import access

DEFINITIONS = Path(__file__).parents[1] / "crds"
SLOW_MODULE = re.compile(r"^pytestmark = .*pytest\.mark\.(slow|e2e)\b", re.MULTILINE)
OTHER_PROGRAMS = {"api_server", "helm", "lent_server"}
"""Fixtures that start programs; `make test-fast` leaves out the tests that use them."""

hypothesis_profiles.register()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave modules of slow tests only unread in `make test-fast`: some import for seconds."""
    if config.option.markexpr != "not slow" or collection_path.suffix != ".py":
        return None
    return True if SLOW_MODULE.search(collection_path.read_text()) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        fixtures = item.fixturenames if isinstance(item, pytest.Function) else ()
        if "api_server" in fixtures:
            item.add_marker("api_server")
        if item.get_closest_marker("e2e") or OTHER_PROGRAMS.intersection(fixtures):
            item.add_marker("slow")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("cuda"):
        import torch  # noqa: PLC0415 - most tests do without it

        if not torch.cuda.is_available():
            pytest.skip("this needs a GPU that torch can use")


@pytest.fixture(scope="session")
def api_server() -> Iterator[access.ApiServer]:
    """A real API server with controllers and no nodes, one for each worker (docs/how-to/testing.md)."""
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
    api_server.wait_for_kinds()
    return api_server


@pytest.fixture
def namespace(api_server: access.ApiServer) -> Iterator[str]:
    """A namespace of its own for each test."""
    name = f"test-{uuid4().hex[:8]}"
    api_server.direct.create("/api/v1/namespaces", {"metadata": {"name": name}})
    yield name
    api_server.direct.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture
def parameters_without_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put each parameter on the meta device; the arithmetic of a builder (RegNet's widths) stays real."""
    from torch import Tensor, nn  # noqa: PLC0415 - most tests do without it

    make = nn.Parameter.__new__

    def make_on_meta(cls: type[nn.Parameter], data: Tensor, *arguments: bool) -> nn.Parameter:
        return make(cls, data.to("meta"), *arguments)

    monkeypatch.setattr(nn.Parameter, "__new__", make_on_meta)
