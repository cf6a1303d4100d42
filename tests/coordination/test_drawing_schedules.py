"""Drawing takes time: what happens while a schedule is drawn somewhere else."""

import numpy as np
import pytest

from coordination.world import World, drawn, settings
from hypothesis_profiles import seeds
from pslgs.coordination import messages
from pslgs.coordination.operation import Phase
from pslgs.sampling.strategies.sequential_split import sequential_schedule
from pslgs.spec.exit_codes import ExitCode
from pslgs.spec.fault_tolerance import OnLostClient

HOLDINGS = {"a": 13, "b": 0, "c": 1, "d": 40}


def drawing(holdings: dict[str, int] | None = None, **changes) -> World:
    """Let all clients join; the first schedule is being drawn."""
    holdings = holdings or dict(HOLDINGS)
    made = World(settings(len(holdings), **changes), holdings, draws_later=True)
    made.join_all()
    assert made.coordinator.phase is Phase.DRAWING
    return made


def take_draw(made: World) -> messages.ScheduleDrawn:
    """Take the draw under way out of what is pending."""
    (found,) = [event for event in made.pending if isinstance(event, messages.ScheduleDrawn)]
    made.pending.remove(found)
    return found


def ordered(effects: list[messages.Effect]) -> set[str]:
    return {effect.local_batch.client for effect in effects if isinstance(effect, messages.OrderForward)}


def test_the_first_step_waits_for_the_draw():
    made = drawing()
    assert not made.of(messages.OrderForward)
    assert ordered(made.deliver())
    assert made.coordinator.phase is Phase.FORWARD


def test_drawing_in_another_thread_changes_no_batch():
    inline = World(settings(4), dict(HOLDINGS))
    inline.join_all()
    inline.run()
    elsewhere = drawing()
    elsewhere.run()
    assert elsewhere.batches == inline.batches
    assert elsewhere.finished == inline.finished


def test_drawing_is_not_counted_as_a_client_s_time():
    made = drawing(client_timeout=30)
    made.tick(1000)
    made.deliver()
    made.tick(29)
    assert not made.of(messages.ReportLost)


def test_a_schedule_with_a_client_that_is_lost_meanwhile_is_drawn_again():
    made = drawing()
    made.leave("d")
    assert made.coordinator.phase is Phase.DRAWING
    assert ordered(made.deliver()) == set()
    assert [effect.draw.remaining for effect in made.of(messages.DrawSchedule)][1:] == [{"a": 13, "c": 1}]
    assert ordered(made.deliver()) <= {"a", "c"}
    made.run()
    assert sum(made.used.values()) == 2 * (13 + 1)


@pytest.mark.parametrize("on_lost", [OnLostClient.CONTINUE, OnLostClient.WAIT])
def test_a_client_that_returns_while_a_schedule_is_drawn_changes_nothing(on_lost):
    undisturbed, made = drawing(on_lost=on_lost), drawing(on_lost=on_lost)
    made.leave("d")
    made.join("d")
    for each in (undisturbed, made):
        each.run()
    assert made.batches == undisturbed.batches


def test_a_job_that_waits_uses_the_schedule_that_was_drawn_while_a_client_was_away():
    undisturbed, made = drawing(on_lost=OnLostClient.WAIT), drawing(on_lost=OnLostClient.WAIT)
    made.leave("d")
    made.deliver()
    assert made.coordinator.phase is Phase.WAITING
    made.join("d")
    for each in (undisturbed, made):
        each.run()
    assert made.batches == undisturbed.batches


def test_a_client_that_has_nothing_to_contribute_can_leave_while_a_schedule_is_drawn():
    made = drawing()
    made.leave("b")
    assert len(made.of(messages.DrawSchedule)) == 1


def test_a_client_that_joins_meanwhile_waits_for_one_step():
    made = World(settings(1, epochs=1), {"a": 40, "z": 16}, draws_later=True)
    made.join("a")
    made.join("z")
    assert len(made.of(messages.DrawSchedule)) == 1
    assert ordered(made.deliver()) == {"a"}
    while made.coordinator.step < 1:
        made.deliver()
    assert made.coordinator.phase is Phase.DRAWING
    assert made.of(messages.DrawSchedule)[-1].draw.remaining == {"a": 32, "z": 16}
    made.run()
    assert sum(made.used.values()) == 56


def test_clients_that_join_faster_than_schedules_are_drawn_do_not_stop_the_training():
    made = World(settings(1, epochs=1), {f"c{i}": 16 for i in range(30)}, draws_later=True)
    for client in made.holdings:
        made.join(client)
        for _ in range(3):
            made.deliver()
    assert made.coordinator.step >= 7


def test_a_client_that_joins_while_an_empty_schedule_is_drawn_is_not_passed_over():
    def one_after_another(holdings, _):
        return sequential_schedule(holdings.remaining, 8)

    made = World(
        settings(2, epochs=1, draw_schedule=one_after_another), {"a": 8, "d": 8, "z": 8}, draws_later=True
    )
    made.join("a")
    made.join("d")
    while made.coordinator.step < 1:
        made.deliver()
    made.leave("d")  # a has nothing left, so that there is nothing to draw over
    assert made.of(messages.DrawSchedule)[-1].draw.remaining == {}
    made.join("z")
    made.run()
    assert [client for _, client, _ in made.used if client != "a"] == ["z"] * 8


def test_a_stop_does_not_wait_for_the_draw():
    made = drawing()
    made.post(messages.StopRequested("the process was told to stop"))
    assert made.finished == messages.Finish(ExitCode.INTERRUPTED, "the process was told to stop")


def test_a_deadline_does_not_wait_for_the_draw():
    made = drawing(deadline=10)
    made.tick(11)
    assert made.finished.exit_code is ExitCode.DEADLINE_EXCEEDED


def test_a_quorum_that_is_lost_while_a_schedule_is_drawn_leaves_the_job_waiting():
    made = drawing(quorum=4)
    made.leave("b")
    made.deliver()
    assert made.coordinator.phase is Phase.WAITING
    made.join("b")
    made.run()
    assert made.finished.exit_code is ExitCode.FINISHED


def stopped_after(steps: int, holdings: dict[str, int] | None = None) -> World:
    made = drawing(holdings)
    while made.coordinator.step < steps:
        made.deliver()
    made.post(messages.StopRequested("stop"))
    made.run()
    return made


def test_a_resumed_run_draws_its_schedule_again_before_its_first_step():
    undisturbed = drawing()
    undisturbed.run()
    stopped = stopped_after(3)
    resumed = World(stopped.settings, dict(HOLDINGS), state=stopped.saved, draws_later=True)
    resumed.join_all()
    assert resumed.coordinator.phase is Phase.DRAWING
    assert not resumed.of(messages.OrderForward)
    resumed.run()
    assert stopped.batches + resumed.batches == undisturbed.batches


def test_a_client_lost_after_a_resume_is_drawn_around_as_in_an_undisturbed_run():
    holdings = {"a": 30, "b": 30, "c": 30}
    undisturbed = drawing(holdings)
    while undisturbed.coordinator.step < 3:
        undisturbed.deliver()
    undisturbed.leave("c")
    undisturbed.run()
    stopped = stopped_after(3, holdings)
    resumed = World(stopped.settings, holdings, state=stopped.saved, draws_later=True)
    resumed.join_all()
    resumed.post(take_draw(resumed))
    resumed.leave("c")
    resumed.run()
    assert stopped.batches + resumed.batches == undisturbed.batches


def test_a_stop_while_a_resumed_run_draws_keeps_what_the_checkpoint_says():
    stopped = stopped_after(3)
    resumed = World(stopped.settings, dict(HOLDINGS), state=stopped.saved, draws_later=True)
    assert resumed.coordinator.state(0.0).epoch == stopped.saved.epoch
    resumed.join_all()
    resumed.post(messages.StopRequested("stop"))
    assert resumed.coordinator.state(0.0).epoch == stopped.saved.epoch


def test_a_client_lost_while_a_resumed_run_draws_costs_no_sample_of_the_others():
    stopped = stopped_after(3)
    resumed = World(stopped.settings, dict(HOLDINGS), state=stopped.saved, draws_later=True)
    resumed.join_all()
    resumed.leave("d")
    resumed.run()
    used = stopped.used + resumed.used
    assert set(used.values()) == {1}
    assert {i for epoch, client, i in used if (epoch, client) == (1, "a")} == set(range(13))


@pytest.mark.parametrize("seed", seeds(30), ids=str)
def test_whatever_happens_while_schedules_are_drawn_no_sample_counts_twice(seed):
    rng = np.random.default_rng(seed)
    holdings = {f"c{i}": int(rng.integers(0, 60)) for i in range(6)} | {"stays": 20}
    made = World(settings(7, epochs=3), holdings, draws_later=True)
    made.join_all()
    stale: list[messages.ScheduleDrawn] = []
    for _ in range(500):
        live = [client for client in made.coordinator.membership.live() if client != "stays"]
        lost = made.coordinator.membership.lost()
        match rng.choice(["deliver", "leave", "join", "again", "stale"], p=[0.8, 0.06, 0.08, 0.03, 0.03]):
            case "deliver" if made.pending:
                event = made.pending[int(rng.integers(len(made.pending)))]
                stale += [event] if isinstance(event, messages.ScheduleDrawn) else []
                made.pending.remove(event)
                made.post(event)
            case "leave" if live:
                made.leave(str(rng.choice(live)))
            case "join" if lost:
                made.join(str(rng.choice(lost)))
            case "again" if live:
                made.join(str(rng.choice(live)))
            case "stale" if stale:
                made.post(stale[int(rng.integers(len(stale)))])
    made.run(rng)
    assert made.finished.exit_code is ExitCode.FINISHED
    assert set(made.used.values()) == {1}
    skipped = sum(sum(effect.samples.values()) for effect in made.of(messages.ReportSkipped))
    assert sum(made.used.values()) + skipped == 3 * sum(holdings.values())


def test_a_draw_made_twice_gives_the_same_schedule():
    (effect,) = drawing().of(messages.DrawSchedule)
    one, other = drawn(effect).result.schedule, effect.draw.run().schedule
    assert [one.local_batches(step).sizes.tolist() for step in range(len(one))] == [
        other.local_batches(step).sizes.tolist() for step in range(len(other))
    ]
