"""A client is lost for its own silence, never for what the server itself waits for."""

import pytest

from coordination.world import World, settings
from pslgs.coordination import messages
from pslgs.coordination.end_cause import EndCause
from pslgs.coordination.operation import Phase
from pslgs.spec.data import EvaluationPlace

CLIENTS = ("a", "b")


def world(**changes) -> World:
    return World(settings(2, client_timeout=30, **changes), dict.fromkeys(CLIENTS, 20), evaluation=20)


def advance_to(made: World, phase: Phase) -> None:
    while made.coordinator.phase is not phase:
        made.deliver()


def ready(made: World) -> messages.ExchangeId:
    """Say that the latest requests are ready at last."""
    requests = (messages.OrderForward, messages.SendCutGradients, messages.OrderEvaluation)
    exchange = next(effect.exchange for effect in reversed(made.effects) if isinstance(effect, requests))
    made.post(messages.RequestsReady(exchange))
    return exchange


@pytest.mark.parametrize(
    "phase", [Phase.FORWARD, Phase.BACKWARD, Phase.EVALUATION], ids=["forward", "backward", "evaluation"]
)
def test_a_time_out_begins_when_the_request_is_ready(phase):
    made = world(epochs=1, evaluate_at=EvaluationPlace.CLIENTS)
    made.busy = True
    made.join_all()
    advance_to(made, phase)
    made.tick(100)
    ready(made)
    made.tick(29)
    assert not made.of(messages.ReportLost)
    made.tick(2)
    assert {lost.client for lost in made.of(messages.ReportLost)} == set(CLIENTS)


def test_a_time_out_begins_anew_once_the_whole_request_is_sent():
    made = world()
    made.unsent = set(CLIENTS)
    made.join_all()
    made.tick(29)
    made.post(messages.RequestSent("a", messages.ExchangeId(1, 1)))
    made.tick(2)
    assert [lost.client for lost in made.of(messages.ReportLost)] == ["b"]


@pytest.mark.parametrize("client", ["a", "nobody"], ids=["of an answered request", "to a stranger"])
def test_a_sent_request_changes_nothing_if_no_answer_is_pending(client):
    made = world()
    made.join_all()
    answered = next(event for event in made.pending if event.client == "a")
    made.deliver(made.pending.index(answered))
    assert made.post(messages.RequestSent(client, messages.ExchangeId(1, 1))) == []
    assert made.post(messages.RequestSent("b", messages.ExchangeId(1, 9))) == []
    made.tick(31)
    assert [lost.client for lost in made.of(messages.ReportLost)] == ["b"]


def test_a_server_that_was_held_up_loses_no_client():
    made = world()
    made.join_all()
    made.tick(20)
    made.now += 500
    made.post(messages.Tick())
    made.tick(8)
    assert not made.of(messages.ReportLost)
    made.tick(3)
    assert len(made.of(messages.ReportLost)) == 2


def test_a_request_sent_between_a_hold_up_and_its_tick_has_no_more_than_its_time():
    made = world()
    made.join_all()
    made.now += 500
    for client in CLIENTS:
        made.post(messages.RequestSent(client, messages.ExchangeId(1, 1)))
    made.post(messages.Tick())
    made.tick(31)
    assert {lost.client for lost in made.of(messages.ReportLost)} == set(CLIENTS)


def test_a_server_that_was_held_up_does_not_give_up_waiting_for_clients():
    made = world(quorum=2, quorum_timeout=600)
    made.join("a")
    made.now += 5_000
    made.post(messages.Tick())
    made.tick(590)
    assert made.finished is None
    made.tick(20)
    assert made.finished is not None


def test_the_duration_of_an_answer_includes_its_sending_but_not_what_the_server_needs_before():
    """It is what `LatentDirichlet` weighs clients by."""
    made = world(uses_client_stats=True)
    made.busy, made.unsent = True, set(CLIENTS)
    made.join_all()
    made.now += 5.0
    ready(made)
    made.now += 2.0
    made.post(messages.RequestSent("a", messages.ExchangeId(1, 1)))
    made.busy = False
    while made.coordinator.step == 0:
        made.deliver()
    assert made.coordinator.state(made.now).delays.measured["a"] == (2.0, 1)


def test_an_answer_whose_request_was_not_reported_is_measured_from_when_it_was_expected():
    made = world(uses_client_stats=True)
    made.busy = True
    made.join_all()
    made.now += 5.0
    while made.coordinator.step == 0:
        made.deliver()
    assert made.coordinator.state(made.now).delays.measured["a"] == (5.0, 1)


@pytest.mark.parametrize(
    ("mute", "cause"),
    [
        pytest.param({"a"}, EndCause.TIMED_OUT, id="one of three"),
        pytest.param({"a", "b"}, EndCause.LOST, id="two of three"),
    ],
)
def test_a_time_out_is_the_clients_fault_unless_most_clients_have_it_at_once(mute, cause):
    made = World(settings(3, global_batch_size=24), {"a": 16, "b": 16, "c": 16}, mute=mute)
    made.join_all()
    while made.pending:
        made.deliver()
    made.tick(made.settings.client_timeout + 2)
    ends = [(end.client, end.cause) for end in made.of(messages.EndSession)]
    assert ends == [(client, cause) for client in sorted(mute)]


@pytest.mark.parametrize(
    ("mute", "seconds"),
    [pytest.param({"a"}, 7.0, id="one of three"), pytest.param({"a", "b"}, 0.0, id="two of three")],
)
def test_others_wait_for_a_client_as_long_as_most_of_them_have_answered(mute, seconds):
    made = World(settings(3, global_batch_size=24), {"a": 16, "b": 16, "c": 16}, mute=mute)
    made.join_all()
    while made.pending:
        made.deliver()
    made.now += 7
    assert made.coordinator.held_up_seconds("a", made.now) == seconds
    assert made.coordinator.held_up_seconds("c", made.now) == 0
