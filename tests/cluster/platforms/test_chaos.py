"""A training under faults of pods, nodes and the control plane; `make cluster-chaos` tries many more."""

from collections.abc import Iterator

import pytest

from cluster.chaos.faults import Kind, draw
from cluster.chaos.trial import epochs_for, try_out
from cluster.testcluster import access, installing
from cluster.testcluster.stage import Cluster

pytestmark = pytest.mark.e2e

FAULTS = 8


@pytest.fixture(scope="module")
def api_server(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """A cluster of its own: afterwards the operator may run on a node that other scenarios switch off."""
    try:
        with installing.cluster_with_operator(
            pytestconfig.rootpath / "artefacts" / "install-chaos", {}
        ) as own:
            yield own
    except access.UnavailableError as reason:
        pytest.skip(str(reason))


@pytest.mark.timeout(1800)
def test_a_training_under_faults_of_its_cluster_gives_a_bit_identical_model(api_server, namespace, tmp_path):
    faults = draw(list(Kind), FAULTS, seed=1)
    wrong = try_out(api_server, namespace, faults, epochs_for(FAULTS), tmp_path, print)
    assert not wrong
