from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from cluster.testcluster.access import ApiServer
from crd.jobs import Jobs, shortest_manifest


@pytest.fixture(scope="session")
def tried_out(defined: ApiServer) -> Jobs:
    """Jobs that are not meant to stay."""
    return Jobs.of(defined.kubeconfig, "default")


@pytest.fixture(scope="session")
def place(defined: ApiServer) -> Iterator[str]:
    """A namespace for all tests of the definition; making one takes longer than most of them."""
    name = f"crd-{uuid4().hex[:8]}"
    defined.run("create", "namespace", name)
    yield name
    defined.run("delete", "namespace", name, "--wait=false")


@pytest.fixture
def jobs(defined: ApiServer, place: str) -> Iterator[Jobs]:
    """Jobs that stay until the end of the test."""
    made = Jobs.of(defined.kubeconfig, place)
    yield made
    made.delete_all()


@pytest.fixture
def manifest() -> dict[str, Any]:
    """The shortest manifest that a cluster takes."""
    return shortest_manifest()
