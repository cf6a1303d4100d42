"""A training under faults of pods, nodes and the control plane; `make cluster-chaos` tries many more."""

import pytest

from cluster.chaos.faults import Kind, draw
from cluster.chaos.trial import epochs_for, try_out

pytestmark = pytest.mark.e2e

FAULTS = 8


@pytest.mark.timeout(1800)
def test_a_training_under_faults_of_its_cluster_gives_a_bit_identical_model(breakable, namespace, tmp_path):
    faults = draw(list(Kind), FAULTS, seed=1)
    wrong = try_out(breakable, namespace, faults, epochs_for(FAULTS), tmp_path, print)
    assert not wrong
