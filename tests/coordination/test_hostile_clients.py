"""A client that violates the protocol is dropped, then excluded, or ends the job."""

import pytest

from coordination.world import World, settings
from pslgs.coordination import messages
from pslgs.coordination.end_cause import EndCause
from pslgs.coordination.messages import Violated
from pslgs.coordination.violations import VIOLATIONS_LIMIT, Reaction, Violations
from pslgs.spec.data import EvaluationPlace
from pslgs.spec.exit_codes import ExitCode
from pslgs.spec.fault_tolerance import OnHostile, OnLostClient

HOLDINGS = {"a": 16, "b": 16, "c": 16}
PROBLEM = "A chunk came after all 24 bytes of its tensor."


def world(policy: OnHostile = OnHostile.DROP_CLIENT, **changes) -> World:
    made = World(settings(3, **{"on_hostile": policy, "checkpoint_every": 100} | changes), HOLDINGS)
    made.join_all()
    return made


def violate(made: World, client: str = "a") -> list[messages.Effect]:
    session = made.coordinator.membership.session(client)
    made.pending = [event for event in made.pending if getattr(event, "client", None) != client]
    return made.post(Violated(client, session, PROBLEM))


def losses(made: World) -> list[tuple[str, str]]:
    return [(lost.client, lost.kind) for lost in made.of(messages.ReportLost)]


@pytest.mark.parametrize(
    ("policy", "reactions"),
    [
        (OnHostile.DROP_CLIENT, [Reaction.DROP] * (VIOLATIONS_LIMIT - 1) + [Reaction.EXCLUDE] * 2),
        (OnHostile.EXCLUDE_CLIENT, [Reaction.EXCLUDE] * 2),
        (OnHostile.FAIL, [Reaction.FAIL] * 2),
    ],
    ids=str,
)
def test_the_policy_decides_on_each_violation_of_a_client(policy, reactions):
    violations = Violations(policy)
    assert [violations.record("a") for _ in reactions] == reactions
    assert violations.record("b") is reactions[0]


def test_a_client_is_dropped_and_may_return_until_it_did_it_too_often():
    made = world()
    for _ in range(VIOLATIONS_LIMIT - 1):
        effects = violate(made)
        assert [end.cause for end in effects if isinstance(end, messages.EndSession)] == [EndCause.VIOLATION]
        made.join("a")
        assert made.coordinator.membership.session("a") is not None
    violate(made)
    assert losses(made) == [("a", "violation"), ("a", "violation"), ("a", "excluded")]
    (report,) = made.of(messages.ReportExcluded)
    assert (report.client, report.reason) == (
        "a",
        f"it violated the protocol 3 times, the last time: {PROBLEM}",
    )
    made.run()
    assert made.finished.exit_code is ExitCode.FINISHED


def test_an_excluded_client_is_sent_away_without_an_effect_on_the_others():
    made = world(OnHostile.EXCLUDE_CLIENT)
    violate(made)
    members = made.coordinator.membership
    assert (members.excluded(), members.excluded_count, members.lost(), members.live_count) == (
        ("a",),
        1,
        (),
        2,
    )
    effects = made.join("a")
    assert [(end.client, end.session, end.cause) for end in effects] == [("a", 4, EndCause.EXCLUDED)]
    assert "is excluded until the server is restarted: it violated the protocol once" in effects[0].reason
    made.run()
    assert made.finished.exit_code is ExitCode.FINISHED
    assert not any(client == "a" for _, client, _ in made.used)


def test_a_job_may_fail_at_the_first_violation():
    made = world(OnHostile.FAIL)
    while made.coordinator.step < 2:
        made.deliver()
    violate(made)
    made.run()
    assert made.finished == messages.Finish(
        ExitCode.HOSTILE_CLIENT,
        f"client a violated the protocol ({PROBLEM}), and spec.faultTolerance.onHostile is Fail",
    )
    assert [saved.step for saved in made.of(messages.SaveCheckpoint)] == [2]


def test_nobody_waits_for_an_excluded_client():
    made = world(OnHostile.EXCLUDE_CLIENT, on_lost=OnLostClient.WAIT)
    violate(made)
    made.run()
    assert made.finished.exit_code is ExitCode.FINISHED


def test_a_violation_on_an_earlier_connection_counts_but_does_not_end_the_newer_one():
    made = world()
    earlier = made.coordinator.membership.session("a")
    made.join("a")
    made.post(Violated("a", earlier, PROBLEM))
    assert losses(made) == [("a", "replaced")]
    for _ in range(VIOLATIONS_LIMIT - 1):
        made.post(Violated("a", earlier, PROBLEM))
    assert losses(made)[1:] == [("a", "excluded")]


def test_an_excluded_client_is_missing_in_evaluations():
    made = World(
        settings(3, on_hostile=OnHostile.EXCLUDE_CLIENT, evaluate_at=EvaluationPlace.CLIENTS, epochs=1),
        HOLDINGS,
        evaluation=8,
    )
    made.join_all()
    violate(made)
    made.run()
    assert [conclusion.missing for conclusion in made.of(messages.ConcludeEvaluation)] == [("a",)]
