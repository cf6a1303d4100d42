from dataclasses import replace
from datetime import UTC, datetime, timedelta

from pslgs_operator.job_state import TransientState
from pslgs_operator.snapshot import Rejection

NOW = datetime(2026, 1, 1, tzinfo=UTC)
QUOTA = Rejection("Job a", "Forbidden", "exceeded quota")


def test_what_is_refused_is_tried_again_later_each_time_up_to_five_minutes():
    state, now, pauses = TransientState("u", 1), NOW, []
    for _ in range(7):
        state.record_failures({"a": QUOTA}, now)
        assert state.backed_off(now) == {"a": QUOTA}
        (due,) = state.retry_times(now)
        pause = due - now
        pauses.append(pause.total_seconds())
        now += pause
        assert state.backed_off(now) == {}
    assert pauses == [15, 30, 60, 120, 240, 300, 300]


def test_being_looked_at_while_held_is_no_attempt():
    state = TransientState("u", 1)
    state.record_failures({"a": QUOTA}, NOW)
    for second in range(14):
        state.record_failures({"a": QUOTA}, NOW + timedelta(seconds=second))
    assert list(state.retry_times(NOW)) == [NOW + timedelta(seconds=15)]


def test_what_is_made_at_last_is_forgotten():
    state = TransientState("u", 1)
    state.record_failures({"a": QUOTA}, NOW)
    state.record_failures({}, NOW)
    assert state.rejections == ()
    assert list(state.retry_times(NOW)) == []


def test_another_spec_is_tried_at_once():
    state = TransientState("u", 1)
    state.record_failures({"a": QUOTA}, NOW)
    state.observe_generation(generation=1)
    assert state.backed_off(NOW)
    state.observe_generation(generation=2)
    assert not state.backed_off(NOW)


def test_refusals_come_in_one_order_whoever_was_first():
    first, second = TransientState("u", 1), TransientState("u", 1)
    other = Rejection("Job b", "Forbidden", "exceeded quota")
    first.record_failures({"a": QUOTA, "b": other}, NOW)
    second.record_failures({"b": other, "a": QUOTA}, NOW)
    assert first.rejections == second.rejections == (QUOTA, other)


TEMPORARY = Rejection("Job a", "WriteFailed", "500 InternalError", temporary=True)


def test_a_temporary_failure_is_tried_again_sooner():
    state, now, pauses = TransientState("u", 1), NOW, []
    for _ in range(8):
        state.record_failures({"a": TEMPORARY}, now)
        (due,) = state.retry_times(now)
        pause = due - now
        pauses.append(pause.total_seconds())
        now += pause
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_single_temporary_failure_is_not_reported():
    state = TransientState("u", 1)
    state.record_failures({"a": TEMPORARY}, NOW)
    assert state.rejections == ()
    state.record_failures({"a": TEMPORARY}, NOW + timedelta(seconds=1))
    assert state.rejections == (TEMPORARY,)


def test_a_failure_is_reported_at_once_if_the_api_server_asks_to_wait():
    state, asked = TransientState("u", 1), replace(TEMPORARY, retry_after=timedelta(seconds=30))
    state.record_failures({"a": asked}, NOW)
    assert list(state.retry_times(NOW)) == [NOW + timedelta(seconds=30)]
    assert state.rejections == (asked,)


def test_what_was_not_tried_stays_held():
    state = TransientState("u", 1)
    state.record_failures({"a": QUOTA, "b": QUOTA}, NOW)
    later = NOW + timedelta(seconds=15)
    state.record_failures({"c": QUOTA}, later, done={"a"})
    assert state.backoffs.keys() == {"b", "c"}
