"""Candidates of a Lease: never two that may write at once, whatever their clocks, pauses and answers do."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from hypothesis_profiles import scaled
from pslgs_operator.lease import REPLICA, Candidate, LeaseRecord, LeaseStep

WALL = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class ApiServer:
    """One Lease, which is replaced only by who knows its version."""

    body: dict | None = None
    version: int = 0

    def read(self) -> LeaseRecord | None:
        return None if self.body is None else LeaseRecord.parse(self.body)

    def write(self, body: dict) -> LeaseRecord | None:
        """Return the new record; None for a conflict."""
        known = body["metadata"].get("resourceVersion")
        if known != (None if self.body is None else self.body["metadata"]["resourceVersion"]):
            return None
        self.version += 1
        self.body = {**body, "metadata": {**body["metadata"], "resourceVersion": str(self.version)}}
        return self.read()


@dataclass
class Process:
    """A candidate whose clock has an offset and a rate of its own, and which may pause at every point."""

    state: Candidate
    offset: float
    rate: float
    at: str = "idle"
    answer: LeaseRecord | None = None
    sent: float = 0.0
    order: dict = field(default_factory=dict)

    def clock(self, true_time: float) -> float:
        return self.offset + self.rate * true_time

    def advance(self, server: ApiServer, true_time: float, *, lost: bool) -> None:
        """Do one piece of an attempt: read, receive, send, take effect, receive."""
        now = self.clock(true_time)
        if self.at == "idle":
            self.answer, self.at = server.read(), "read"
        elif self.at == "read":
            self.state = self.state.observed(self.answer, now)
            if self.state.step(now) is LeaseStep.WAIT:
                self.at = "idle"
                return
            self.order, self.sent = self.state.manifest("n", "l", WALL), now
            self.at = "sent"
        elif self.at == "sent":
            self.answer, self.at = server.write(self.order), "written"
        else:
            if self.answer is not None and not lost:
                self.state = self.state.confirmed(self.answer, self.sent)
            self.at = "idle"


PAUSES = st.sampled_from([0.0, 0.5, 2.0, 5.0, 7.0, 9.0, 13.0, 30.0])
MOVES = st.tuples(
    st.integers(0, 2), PAUSES, st.sampled_from([4, 4, 2, 1, 3]), st.integers(0, 9).map(lambda n: n > 8)
)
DRIFT = st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(0.9, 1.1)), min_size=3, max_size=3)


@given(st.lists(MOVES, min_size=5, max_size=60), DRIFT)
@settings(max_examples=scaled(300), deadline=None)
def test_two_candidates_never_may_write_at_once(moves, clocks):
    server, true_time = ApiServer(), 0.0
    processes = [Process(Candidate(f"pod-{number}", REPLICA), *clock) for number, clock in enumerate(clocks)]
    for number, passed, pieces, lost in moves:
        true_time += passed
        for _ in range(pieces):
            processes[number].advance(server, true_time, lost=lost)
            writers = [each for each in processes if each.state.may_write(each.clock(true_time))]
            assert len(writers) <= 1


def attempt(state: Candidate, server: ApiServer, now: float) -> Candidate:
    state = state.observed(server.read(), now)
    if state.step(now) is LeaseStep.WAIT:
        return state
    written = server.write(state.manifest("n", "l", WALL))
    return state if written is None else state.confirmed(written, now)


@given(st.floats(0, 2), st.floats(0, 2), st.floats(0, 1000))
def test_the_lease_of_a_killed_holder_is_taken_within_16_seconds(phase, kill, start):
    server = ApiServer()
    attempt(Candidate("a", REPLICA), server, start)
    renewed, now, other = start + kill, start + phase, Candidate("b", REPLICA)
    attempt(attempt(Candidate("a", REPLICA), server, start), server, renewed)
    while not other.may_write(now):
        other = attempt(other, server, now)
        now += REPLICA.renew_period
    assert now - REPLICA.renew_period - renewed <= 16


def test_a_holder_that_renews_keeps_the_lease():
    server, a, b = ApiServer(), Candidate("a", REPLICA), Candidate("b", REPLICA)
    for now in range(0, 100, 2):
        a, b = attempt(a, server, now), attempt(b, server, now + 1)
        assert a.may_write(now + 1)
        assert not b.may_write(now + 1)
    assert server.body["spec"]["leaseTransitions"] == 0


def test_a_released_lease_is_taken_at_once():
    server = ApiServer()
    a = attempt(Candidate("a", REPLICA), server, 0)
    server.write(a.released())
    b = attempt(Candidate("b", REPLICA), server, 0.1)
    assert b.may_write(0.1)
    assert server.body["spec"]["holderIdentity"] == "b"
    assert server.body["spec"]["leaseTransitions"] == 1


def test_who_holds_nothing_releases_nothing():
    assert Candidate("a", REPLICA).released() is None
    server = ApiServer()
    attempt(Candidate("b", REPLICA), server, 0)
    assert Candidate("a", REPLICA).observed(server.read(), 1).released() is None


def test_a_holder_that_cannot_renew_stops_before_the_others_begin():
    server = ApiServer()
    a = attempt(Candidate("a", REPLICA), server, 0)
    b = Candidate("b", REPLICA).observed(server.read(), 0)
    assert a.may_write(7.9)
    assert not a.may_write(8)
    assert b.observed(server.read(), 11.9).step(11.9) is LeaseStep.WAIT
    assert b.observed(server.read(), 12).step(12) is LeaseStep.TAKE


def test_a_holder_that_reads_another_holder_stops_at_once():
    server = ApiServer()
    a = attempt(Candidate("a", REPLICA), server, 0)
    server.write({**server.body, "spec": {**server.body["spec"], "holderIdentity": "b"}})
    assert not a.observed(server.read(), 1).may_write(1)


def test_the_lease_has_times_that_the_api_server_accepts_and_keeps_what_others_wrote():
    server = ApiServer()
    a = attempt(Candidate("a", REPLICA), server, 0)
    server.write({**server.body, "metadata": {**server.body["metadata"], "labels": {"team": "x"}}})
    attempt(a, server, 2)
    assert server.body["metadata"]["labels"] == {"team": "x"}
    assert server.body["spec"]["renewTime"] == "2026-01-01T00:00:00.000000Z"
