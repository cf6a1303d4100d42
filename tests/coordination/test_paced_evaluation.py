"""An evaluation at the clients takes bounded memory at the server, and time-outs count answers only."""

from collections import Counter

import numpy as np
import pytest

from coordination.world import World, settings
from pslgs.coordination import messages
from pslgs.coordination.operation import Phase
from pslgs.spec.data import EvaluationPlace

RANGE = 16


def evaluating(clients: int, samples: int, **changes) -> World:
    """A job of one step that has come to its evaluation."""
    holdings = {f"client-{i:03}": 1 for i in range(clients)}
    values = {"epochs": 1, "global_batch_size": clients, "evaluate_at": EvaluationPlace.CLIENTS}
    made = World(settings(clients, **(values | {"evaluation_range": RANGE} | changes)), holdings, samples)
    made.join_all()
    while made.coordinator.phase is not Phase.EVALUATION:
        made.deliver()
    return made


@pytest.mark.parametrize("samples", [3, 16, 50], ids=["less than a range", "one range", "several ranges"])
def test_however_many_clients_there_are_two_ranges_at_most_are_in_memory(samples):
    made = evaluating(128, samples)
    made.run()
    assert 2 * RANGE - min(samples, RANGE) < made.most_held <= 2 * RANGE
    assert sum(order.local_batch.samples for order in made.of(messages.OrderEvaluation)) == 128 * samples


def test_a_range_is_scored_once_it_is_answered_and_its_client_is_asked_for_the_next():
    made = evaluating(1, 20)
    exchange = made.of(messages.OrderEvaluation)[0].exchange
    assert made.deliver() == [messages.ScoreEvaluation(exchange, "client-000")]
    (order,) = made.deliver()
    assert (order.local_batch.offset, order.local_batch.samples) == (16, 4)
    made.deliver()
    assert made.deliver()[0] == messages.ConcludeEvaluation(exchange, 1, ())


def test_clients_take_turns():
    made = evaluating(3, 40)
    made.run()
    asked = [
        (order.local_batch.client[-1], order.local_batch.offset)
        for order in made.of(messages.OrderEvaluation)
    ]
    assert asked == [(client, offset) for offset in (0, 16, 32) for client in "012"]


def test_scoring_time_does_not_count_towards_time_outs():
    made = evaluating(16, 3 * RANGE, client_timeout=1)
    while made.finished is None:
        made.deliver()
        made.tick(5) if not any(isinstance(e, messages.EvaluationAnswered) for e in made.pending) else None
    assert made.of(messages.ReportLost) == []
    assert made.of(messages.ConcludeEvaluation)[0].missing == ()


def test_clients_without_a_request_are_not_overdue():
    made = evaluating(4, RANGE, client_timeout=30)
    made.pending.clear()
    made.tick(31)
    assert [lost.client for lost in made.of(messages.ReportLost)] == ["client-000", "client-001"]
    made.run()
    assert made.of(messages.ConcludeEvaluation)[0].missing == ("client-000", "client-001")


def test_memory_of_a_client_lost_before_its_answer_is_free_for_the_next():
    made = evaluating(4, RANGE)
    effects = made.leave("client-000")
    exchange = made.of(messages.OrderEvaluation)[0].exchange
    assert effects[1] == messages.DropEvaluation(exchange, "client-000")
    assert effects[2].local_batch.client == "client-002"


def test_memory_of_a_client_lost_while_it_is_scored_is_free_only_afterwards():
    made = evaluating(4, 2 * RANGE)
    made.deliver()
    effects = made.leave("client-000")
    assert not [
        effect for effect in effects if isinstance(effect, messages.OrderEvaluation | messages.DropEvaluation)
    ]
    made.deliver()
    (order,) = made.deliver(
        made.pending.index(messages.EvaluationScored("client-000", effects_exchange(made)))
    )
    assert order.local_batch.client == "client-002"
    made.run()
    assert made.of(messages.ConcludeEvaluation)[0].missing == ("client-000",)


def effects_exchange(made: World) -> messages.ExchangeId:
    return made.of(messages.OrderEvaluation)[0].exchange


def test_a_client_that_has_answered_all_may_go_before_it_is_scored():
    made = evaluating(2, RANGE)
    made.deliver()
    made.leave("client-000")
    made.run()
    assert made.of(messages.ConcludeEvaluation)[0].missing == ()


def test_a_client_that_leaves_before_its_turn_is_named():
    made = evaluating(4, RANGE)
    made.leave("client-003")
    made.run()
    assert made.of(messages.ConcludeEvaluation)[0].missing == ("client-003",)
    assert {order.local_batch.client for order in made.of(messages.OrderEvaluation)} == {
        f"client-00{i}" for i in range(3)
    }


def test_a_client_that_returns_meanwhile_is_not_asked_again():
    made = evaluating(4, 2 * RANGE)
    made.leave("client-001")
    made.join("client-001")
    made.run()
    assert made.of(messages.ConcludeEvaluation)[0].missing == ("client-001",)
    assert [order.local_batch.client for order in made.of(messages.OrderEvaluation)].count("client-001") == 1


@pytest.mark.parametrize("seed", range(30), ids=str)
def test_whatever_happens_everybody_is_evaluated_wholly_or_missing(seed):
    rng = np.random.default_rng(seed)
    made = evaluating(8, int(rng.integers(1, 60)))
    while not made.of(messages.ConcludeEvaluation):
        match rng.choice(["deliver", "leave", "join"], p=[0.85, 0.1, 0.05]):
            case "deliver" if made.pending:
                made.deliver(int(rng.integers(len(made.pending))))
            case "leave" if live := list(made.coordinator.membership.live()):
                made.leave(str(rng.choice(live)))
            case "join" if lost := made.coordinator.membership.lost():
                made.join(str(rng.choice(lost)))
    assert made.most_held <= 2 * RANGE
    (conclusion,) = made.of(messages.ConcludeEvaluation)
    ranges = Counter(effect.client for effect in made.of(messages.ScoreEvaluation))
    whole = {client for client, count in ranges.items() if count == -(-made.evaluation // RANGE)}
    assert whole | set(conclusion.missing) == set(made.holdings)
    assert not whole & set(conclusion.missing)
