from dataclasses import replace
from datetime import UTC, datetime, timedelta

from pslgs_operator.job_state import TransientState
from pslgs_operator.snapshot import Rejection

NOW = datetime(2026, 1, 1, tzinfo=UTC)
QUOTA = Rejection("Job a", "Forbidden", "exceeded quota")


def test_what_is_refused_is_tried_again_later_each_time_up_to_five_minutes():
    memory, now, pauses = TransientState("u", 1), NOW, []
    for _ in range(7):
        memory.hold({"a": QUOTA}, now)
        assert memory.not_yet(now) == {"a": QUOTA}
        pause = memory.next_attempt(now)
        pauses.append(pause.total_seconds())
        now += pause
        assert memory.not_yet(now) == {}
    assert pauses == [15, 30, 60, 120, 240, 300, 300]


def test_being_looked_at_while_held_is_no_attempt():
    memory = TransientState("u", 1)
    memory.hold({"a": QUOTA}, NOW)
    for second in range(14):
        memory.hold({"a": QUOTA}, NOW + timedelta(seconds=second))
    assert memory.next_attempt(NOW + timedelta(seconds=14)) == timedelta(seconds=1)


def test_what_is_made_at_last_is_forgotten():
    memory = TransientState("u", 1)
    memory.hold({"a": QUOTA}, NOW)
    memory.hold({}, NOW)
    assert memory.rejections == ()
    assert memory.next_attempt(NOW) is None


def test_another_spec_is_tried_at_once():
    memory = TransientState("u", 1)
    memory.hold({"a": QUOTA}, NOW)
    memory.see(generation=1)
    assert memory.not_yet(NOW)
    memory.see(generation=2)
    assert not memory.not_yet(NOW)


def test_refusals_come_in_one_order_whoever_was_first():
    first, second = TransientState("u", 1), TransientState("u", 1)
    other = Rejection("Job b", "Forbidden", "exceeded quota")
    first.hold({"a": QUOTA, "b": other}, NOW)
    second.hold({"b": other, "a": QUOTA}, NOW)
    assert first.rejections == second.rejections == (QUOTA, other)


TEMPORARY = Rejection("Job a", "WriteFailed", "500 InternalError", temporary=True)


def test_a_temporary_failure_is_tried_again_sooner():
    memory, now, pauses = TransientState("u", 1), NOW, []
    for _ in range(8):
        memory.hold({"a": TEMPORARY}, now)
        pause = memory.next_attempt(now)
        pauses.append(pause.total_seconds())
        now += pause
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_single_temporary_failure_is_not_reported():
    memory = TransientState("u", 1)
    memory.hold({"a": TEMPORARY}, NOW)
    assert memory.rejections == ()
    memory.hold({"a": TEMPORARY}, NOW + timedelta(seconds=1))
    assert memory.rejections == (TEMPORARY,)


def test_a_failure_is_reported_at_once_if_the_api_server_asks_to_wait():
    memory, asked = TransientState("u", 1), replace(TEMPORARY, retry_after=timedelta(seconds=30))
    memory.hold({"a": asked}, NOW)
    assert memory.next_attempt(NOW) == timedelta(seconds=30)
    assert memory.rejections == (asked,)


def test_what_was_not_tried_stays_held():
    memory = TransientState("u", 1)
    memory.hold({"a": QUOTA, "b": QUOTA}, NOW)
    later = NOW + timedelta(seconds=15)
    memory.hold({"c": QUOTA}, later, done={"a"})
    assert memory.held.keys() == {"b", "c"}
