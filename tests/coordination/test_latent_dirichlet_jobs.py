"""What LatentDirichlet asks of the coordinator: label counts, measured delays, both kept for a resume."""

import json

import pytest

from coordination.world import World, settings
from pslgs.coordination import messages
from pslgs.coordination.settings import draw_schedule_from
from pslgs.coordination.state import CoordinatorState
from pslgs.sampling.holdings import Holdings
from pslgs.spec.training import LatentDirichletSpec, SamplingSpec, SamplingStrategy

COUNTS = {"a": (13, 0), "b": (0, 0), "c": (1, 0), "d": (20, 20), "e": (0, 24)}
SECONDS = {"a": 0.25, "c": 0.25, "d": 4.0, "e": 0.5}
"""Dyadic, so that differences of times are exact wherever a clock begins."""

drawn: list[Holdings] = []


def world(state: CoordinatorState | None = None, **changes) -> World:
    sampling = SamplingSpec(
        strategy=SamplingStrategy.LATENT_DIRICHLET,
        global_batch_size=8,
        latent_dirichlet=LatentDirichletSpec(sample_size=40, delay_weight=2.0),
    )
    draw = draw_schedule_from(sampling)

    def noted(holdings: Holdings, rng):
        drawn.append(holdings)
        return draw(holdings, rng)

    chosen = {"draw_schedule": noted, "uses_client_stats": True, "epochs": 3} | changes
    made = World(
        settings(len(COUNTS), **chosen),
        {client: sum(counts) for client, counts in COUNTS.items()},
        state=state,
        label_counts=COUNTS,
        answer_seconds=SECONDS,
    )
    drawn.clear()
    made.join_all()
    return made


def test_every_sample_is_used_once_an_epoch():
    made = world()
    made.run()
    assert set(made.used.values()) == {1}
    assert sum(made.used.values()) == 3 * 78


def test_label_counts_reach_the_draw_in_the_order_of_names():
    world()
    assert drawn[-1].label_counts.tolist() == [[13, 0], [1, 0], [20, 20], [0, 24]]
    assert drawn[-1].remaining.tolist() == [13, 1, 40, 24]


def test_delays_are_unknown_in_the_first_epoch_and_measured_from_then_on():
    made = world()
    while made.coordinator.epoch.number < 2:
        made.deliver()
    assert [str(each) for each in drawn[0].delays] == ["nan"] * len(drawn[0].delays)
    delays = dict(zip(("a", "c", "d", "e"), drawn[-1].delays.tolist(), strict=True))
    # Answers are delivered in the order of names, so a client also waits for those before it.
    assert delays["d"] >= 2 * SECONDS["d"]
    assert delays["a"] == 2 * SECONDS["a"]


def test_delays_known_from_the_start_are_used_in_the_first_epoch():
    world(known_delays={"a": 1.0, "d": 5.0})
    assert drawn[-1].delays[[0, 2]].tolist() == [1.0, 5.0]


@pytest.mark.parametrize("deliveries", range(0, 120, 7), ids=str)
def test_a_resumed_run_draws_what_an_undisturbed_one_draws(deliveries):
    undisturbed = world()
    undisturbed.run()
    stopped = world()
    for _ in range(deliveries):
        if stopped.pending:
            stopped.deliver()
    stopped.post(messages.StopRequested("stop"))
    stopped.run()
    state = stopped.coordinator.state(stopped.now).to_json()
    resumed = world(state=CoordinatorState.from_json(json.loads(json.dumps(state))))
    resumed.run()
    assert stopped.batches + resumed.batches == undisturbed.batches


def test_a_lost_client_is_drawn_around_and_returns_with_what_it_has_left():
    made = world()
    for _ in range(9):
        made.deliver()
    made.leave("d")
    for _ in range(5):
        made.deliver()
    made.join("d")
    made.run()
    assert set(made.used.values()) == {1}
    assert sum(made.used.values()) == 3 * 78
    assert len(made.of(messages.AbandonAttempt)) <= 1


def test_other_strategies_keep_neither_label_counts_nor_delays():
    made = world(uses_client_stats=False)
    made.run()
    state = made.coordinator.state(made.now)
    assert (state.epoch.label_counts, state.delays.known, state.delays.measured) == ({}, {}, {})
