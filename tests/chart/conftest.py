import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from chart.installed import CRD, Site
from chart.rendering import Renderer
from cluster.testcluster import access
from cluster.testcluster.helm import NAMESPACE, any_helm, helm_of


@pytest.fixture(scope="session")
def helm() -> Renderer:
    """Helm 3, the cluster's own or that of the machine."""
    try:
        return Renderer(any_helm())
    except access.UnavailableError as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def lent_server() -> Iterator[access.ApiServer]:
    """An API server that other tests do not share: they have the definition installed in another way."""
    if os.environ.get(access.EXISTING):
        pytest.skip(f"this installs and uninstalls; {access.EXISTING} names an existing cluster")
    try:
        with access.api_server() as server:
            yield server
    except access.UnavailableError as reason:
        pytest.skip(str(reason))


@pytest.fixture
def site(lent_server: access.ApiServer, helm: Renderer, tmp_path: Path) -> Iterator[Site]:
    """A cluster without the chart."""
    found = Site(lent_server, helm_of(lent_server), helm, tmp_path)
    found.make_namespaces(NAMESPACE, enforce="restricted")
    yield found
    for release in found.helm("list", "--all", "--short").split():
        found.helm("uninstall", release)
    lent_server.run("delete", CRD, "--ignore-not-found")
