"""The faults of a cluster, in an order that a seed determines."""

import pytest

from cluster.chaos.faults import Kind, draw


def test_a_seed_determines_the_faults():
    assert draw(list(Kind), 50, 3) == draw(list(Kind), 50, 3)
    assert draw(list(Kind), 50, 3) != draw(list(Kind), 50, 4)


@pytest.mark.parametrize("seed", range(5))
def test_every_kind_of_fault_occurs_before_one_occurs_again(seed):
    drawn = [fault.kind for fault in draw(list(Kind), 50, seed)]
    assert set(drawn[: len(Kind)]) == set(drawn[len(Kind) : 2 * len(Kind)]) == set(Kind)
    assert len(drawn) == 50


def test_some_faults_happen_while_the_one_before_has_effects():
    faults = draw(list(Kind), 100, 0)
    assert 20 < sum(fault.after == 0 for fault in faults) < 60
