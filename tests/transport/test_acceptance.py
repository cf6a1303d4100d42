"""When gRPC counts as one that accepts no more, as far as that can be told from outside."""

import pytest

from pslgs.transport.acceptance import LONGEST_STEP_SECONDS, PATIENCE_SECONDS, Acceptance
from pslgs.transport.tcp_port import Look, Peer

LOOKS = 100
STEP = PATIENCE_SECONDS / 10


def seconds_until_ceased(waiting: list[int | None], accepted: list[int], step: float = STEP) -> float | None:
    """Look again and again, with so many that wait and so many accepted until then; both lists are cycles."""
    acceptance = Acceptance()
    for number in range(LOOKS):
        peers = {Peer("10.0.0.1", port): 0 for port in range(accepted[number % len(accepted)])}
        if acceptance.has_ceased(number * step, Look(peers, waiting[number % len(waiting)])):
            return number * step
    return None


@pytest.mark.parametrize("waiting", [None, 1, 100])
def test_whoever_lets_clients_wait_has_ceased(waiting):
    assert seconds_until_ceased([waiting], [3]) == PATIENCE_SECONDS


@pytest.mark.parametrize(
    ("waiting", "accepted"),
    [
        pytest.param([0], [3], id="nobody waits"),
        pytest.param([1, 1, 1, 0], [3], id="others wait each time"),
        pytest.param([500], [*range(LOOKS)], id="many wait and are accepted"),
        pytest.param([500], [0, 1], id="who was accepted leaves"),
        pytest.param([None, 0], [3], id="a look that failed"),
    ],
)
def test_whoever_accepts_has_not(waiting, accepted):
    assert seconds_until_ceased(waiting, accepted) is None


def test_a_process_that_was_stopped_has_time_to_accept():
    found = seconds_until_ceased([1], [0], step=1000 * PATIENCE_SECONDS)
    assert found == 1000 * PATIENCE_SECONDS * (PATIENCE_SECONDS / LONGEST_STEP_SECONDS)
