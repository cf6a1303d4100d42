"""Nodes that are labelled one after another cause one reconciliation, and so at most one Event."""

from datetime import timedelta

import pytest

from pslgs_operator.controller import delay_after
from pslgs_operator.gvk import BY_KIND, NODES
from pslgs_operator.workqueue import DelayQueue, RateLimit


@pytest.mark.parametrize("kind", sorted(BY_KIND))
def test_only_nodes_are_given_time_to_settle(kind: str) -> None:
    assert (delay_after(BY_KIND[kind]) > timedelta(0)) is (BY_KIND[kind] == NODES)


def test_a_job_is_reconciled_once_for_all_nodes_of_a_second() -> None:
    queue: DelayQueue[str] = DelayQueue(RateLimit())
    delay = delay_after(NODES).total_seconds()
    for at in (0.0, 0.7, 1.4):
        queue.add("digits", at + delay)
    assert queue.get(delay - 0.1) is None
    assert queue.get(delay) == "digits"
    queue.done("digits")
    assert queue.next_due() is None
