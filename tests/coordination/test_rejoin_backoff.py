"""A client that is lost again and again waits before it joins; one that is lost now and then does not."""

from hypothesis import given
from hypothesis import strategies as st

from pslgs.coordination.rejoin_backoff import (
    FREE_LOSSES,
    HELD_UP_LIMIT_SECONDS,
    HELD_UP_WINDOW_SECONDS,
    LIMIT_SECONDS,
    WINDOW_SECONDS,
    RejoinBackoff,
)

TIMEOUT = 30.0


def storm(backoff: RejoinBackoff, client: str, seconds: float, every: float) -> list[float]:
    """Let a client try to join as often as it can, and leave at once; return when it was let in."""
    joined = []
    for number in range(round(seconds / every)):
        now = number * every
        if not backoff.wait_seconds(client, now):
            joined.append(now)
            backoff.record_loss(client, now)
    return joined


def test_a_client_that_was_lost_a_few_times_joins_again_at_once():
    backoff = RejoinBackoff()
    for number in range(FREE_LOSSES):
        assert backoff.wait_seconds("a", number) == 0
        backoff.record_loss("a", number)
    assert backoff.wait_seconds("a", FREE_LOSSES) == 0


def test_a_storm_of_joins_is_slowed_down_to_a_few_a_minute():
    joined = storm(RejoinBackoff(), "a", seconds=600, every=0.02)
    assert [now for now in joined if now < 1] == [0.0, 0.02, 0.04, 0.06]
    assert len([now for now in joined if now >= 60]) <= 9 * 6


def test_the_wait_doubles_with_each_loss_up_to_its_limit():
    backoff, waits = RejoinBackoff(), []
    for _ in range(FREE_LOSSES + 8):
        backoff.record_loss("a", 0.0)
        waits.append(backoff.wait_seconds("a", 0.0))
    assert waits == [0, 0, 0, 1, 2, 4, 8, 16, 32, LIMIT_SECONDS, LIMIT_SECONDS]


def test_a_wait_is_over_when_it_says_so():
    backoff = RejoinBackoff()
    for _ in range(FREE_LOSSES + 3):
        backoff.record_loss("a", 10.0)
    assert backoff.wait_seconds("a", 13.0) == 1.0
    assert backoff.wait_seconds("a", 14.0) == 0.0


def test_losses_are_forgotten_after_the_window():
    backoff = RejoinBackoff()
    for _ in range(FREE_LOSSES + 8):
        backoff.record_loss("a", 0.0)
    assert backoff.wait_seconds("a", WINDOW_SECONDS) == 0
    backoff.record_loss("a", WINDOW_SECONDS)
    assert backoff.wait_seconds("a", WINDOW_SECONDS) == 0


def test_a_client_that_never_answers_holds_up_others_for_a_small_part_of_the_time():
    for seconds in (TIMEOUT, TIMEOUT / 15):  # it waits for its time-out, or leaves before
        backoff, now, held_up = RejoinBackoff(), 0.0, 0.0
        while now < 2 * HELD_UP_WINDOW_SECONDS:
            now, held_up = now + seconds, held_up + seconds
            backoff.record_loss("a", now)
            backoff.record_stall("a", now, seconds)
            now += backoff.wait_seconds("a", now)
        assert held_up < 0.1 * now


def test_a_client_that_was_late_once_joins_again_at_once_and_waits_longer_each_time():
    backoff, waits = RejoinBackoff(), []
    for number in range(6):
        now = number * WINDOW_SECONDS
        backoff.record_loss("a", now)
        backoff.record_stall("a", now, 5 * TIMEOUT)
        waits.append(backoff.wait_seconds("a", now))
    assert waits == [0, 600, 1200, HELD_UP_LIMIT_SECONDS, HELD_UP_LIMIT_SECONDS, HELD_UP_LIMIT_SECONDS]


def test_one_client_does_not_make_another_wait():
    backoff = RejoinBackoff()
    for _ in range(FREE_LOSSES + 8):
        backoff.record_loss("a", 0.0)
    assert backoff.wait_seconds("b", 0.0) == 0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 300)), max_size=40))
def test_no_client_waits_longer_than_the_limit_or_is_kept_for_ever(losses):
    backoff, now = RejoinBackoff(), 0.0
    for client, seconds in losses:
        now += seconds
        backoff.record_loss(client, now)
        for each in "abc":
            assert 0 <= backoff.wait_seconds(each, now) <= LIMIT_SECONDS
    for client in "abc":
        assert backoff.wait_seconds(client, now + WINDOW_SECONDS) == 0
