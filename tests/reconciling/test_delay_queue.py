from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pslgs_operator.workqueue import DelayQueue, RateLimit

PACE = RateLimit(spacing=0.5, backoff=1.0, longest_backoff=60.0)


@pytest.fixture
def schedule() -> DelayQueue[str]:
    return DelayQueue(PACE)


def test_a_key_is_taken_when_it_is_due(schedule):
    schedule.add("a", at=10.0)
    assert schedule.get(9.9) is None
    assert schedule.get(10.0) == "a"
    assert schedule.get(10.0) is None


def test_the_key_that_is_due_longest_comes_first(schedule):
    for key, at in (("late", 3.0), ("early", 1.0), ("also early", 1.0)):
        schedule.add(key, at)
    assert [schedule.get(5.0) for _ in range(3)] == ["early", "also early", "late"]


def test_a_thousand_additions_are_one_look(schedule):
    for _ in range(1000):
        schedule.add("a", at=0.0)
    assert schedule.get(0.0) == "a"
    schedule.done("a")
    assert schedule.get(100.0) is None


def test_the_sooner_of_two_times_counts(schedule):
    schedule.add("a", at=600.0)
    schedule.add("a", at=1.0)
    schedule.add("a", at=300.0)
    assert schedule.next_due() == 1.0


def test_a_key_is_never_taken_twice_at_once(schedule):
    schedule.add("a", at=0.0)
    assert schedule.get(0.0) == "a"
    schedule.add("a", at=1.0)
    assert schedule.get(50.0) is None
    schedule.done("a")
    assert schedule.get(50.0) == "a"


def test_starts_of_one_key_are_spaced_and_other_keys_do_not_wait(schedule):
    schedule.add("a", at=0.0)
    schedule.get(0.0)
    schedule.done("a")
    schedule.add("a", at=0.1)
    schedule.add("b", at=0.1)
    assert schedule.get(0.4) == "b"
    assert schedule.get(0.4) is None
    assert schedule.get(0.5) == "a"


def test_failures_in_a_row_are_tried_again_later_each_time_up_to_a_limit(schedule):
    now, pauses = 0.0, []
    schedule.add("a", at=now)
    for _ in range(9):
        assert schedule.get(now) == "a"
        schedule.add_rate_limited("a", now)
        due = schedule.next_due()
        assert due is not None
        pauses.append(due - now)
        now = due
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]


def test_success_makes_the_next_failure_a_first_one(schedule):
    for now in (0.0, 10.0):
        schedule.add("a", now)
        schedule.get(now)
        schedule.add_rate_limited("a", now)
    schedule.get(20.0)
    schedule.done("a", at=30.0)
    schedule.get(30.0)
    schedule.add_rate_limited("a", 30.0)
    assert schedule.next_due() == 31.0


def test_news_does_not_wait_for_the_back_off(schedule):
    schedule.add("a", 0.0)
    schedule.get(0.0)
    for _ in range(5):
        schedule.add_rate_limited("a", 0.0)
    schedule.add("a", 0.6)
    assert schedule.next_due() == 0.6


def test_a_key_that_is_gone_leaves_nothing_behind(schedule):
    schedule.add("a", 0.0)
    schedule.get(0.0)
    schedule.add_rate_limited("a", 0.0)
    schedule.get(1.0)
    schedule.forget("a")
    assert schedule == DelayQueue(PACE, _pushes=schedule._pushes)


def test_a_key_that_comes_back_while_it_goes_is_looked_at_again(schedule):
    schedule.add("a", 0.0)
    schedule.get(0.0)
    schedule.add("a", 0.1)
    schedule.forget("a")
    assert schedule.get(0.5) == "a"


def test_a_key_is_not_taken_before_the_time_that_the_api_server_names():
    schedule = DelayQueue(PACE)
    schedule.add("a", 0.0)
    schedule.get(0.0)
    schedule.add("a", 0.1)
    schedule.add_rate_limited("a", 1.0, retry_after=20.0)
    schedule.add("a", 2.0)
    assert schedule.get(20.9) is None
    assert schedule.get(21.0) == "a"
    schedule.done("a")
    schedule.add("a", 22.0)
    assert schedule.get(22.0) == "a"


def test_the_depth_is_the_number_of_keys_that_are_due():
    schedule = DelayQueue(PACE)
    for key, at in (("a", 1.0), ("b", 2.0), ("c", 30.0)):
        schedule.add(key, at)
    assert schedule.depth(5.0) == 2
    schedule.get(5.0)
    assert schedule.depth(5.0) == 1


@given(st.integers(min_value=1, max_value=10**9))
def test_a_pause_is_never_longer_than_the_limit(failures):
    assert 1.0 <= PACE.after(failures) <= 60.0


class AnyHistory(RuleBasedStateMachine):
    """Whatever comes: no key twice at once, none lost, none too early or too often."""

    def __init__(self) -> None:
        super().__init__()
        self.schedule: DelayQueue[int] = DelayQueue(PACE)
        self.now = 0.0
        self.wanted: set[int] = set()
        self.busy: set[int] = set()
        self.started: dict[int, float] = {}
        self.taken: Counter[int] = Counter()

    @rule(key=st.integers(0, 3), delay=st.sampled_from([0.0, 0.2, 5.0]))
    def add(self, key, delay):
        self.schedule.add(key, self.now + delay)
        self.wanted.add(key)

    @rule(seconds=st.sampled_from([0.1, 0.5, 3.0]))
    def wait(self, seconds):
        self.now += seconds

    @rule()
    def take(self):
        key = self.schedule.get(self.now)
        if key is not None:
            assert key in self.wanted
            assert key not in self.busy
            assert self.now >= self.started.get(key, float("-inf")) + PACE.spacing
            self.wanted.remove(key)
            self.busy.add(key)
            self.started[key] = self.now

    @precondition(lambda self: self.busy)
    @rule(well=st.booleans())
    def end(self, well):
        key = self.busy.pop()
        if well:
            self.schedule.done(key)
        else:
            self.schedule.add_rate_limited(key, self.now)
            self.wanted.add(key)

    @invariant()
    def what_is_wanted_is_due_once_it_can_be(self):
        assert (self.schedule.next_due() is not None) == bool(self.wanted - self.busy)


TestAnyHistory = AnyHistory.TestCase
