import numpy as np
import pytest

from coordination.world import World, settings
from hypothesis_profiles import seeds
from pslgs.coordination import messages
from pslgs.coordination.coordinator import Coordinator
from pslgs.coordination.operation import Phase
from pslgs.spec.data import EvaluationPlace
from pslgs.spec.exit_codes import ExitCode
from pslgs.spec.fault_tolerance import OnLostClient

HOLDINGS = {"a": 13, "b": 0, "c": 1, "d": 40}


def world(**changes) -> World:
    return World(settings(len(HOLDINGS), **changes), dict(HOLDINGS))


def joined(**changes) -> World:
    made = world(**changes)
    made.join_all()
    return made


def advance_to(made: World, phase: Phase) -> None:
    while made.coordinator.phase is not phase:
        made.deliver()


def test_an_undisturbed_run_uses_every_sample_once_an_epoch():
    made = joined()
    made.run()
    assert made.finished == messages.Finish(ExitCode.FINISHED, "trained 2 epochs, 14 steps")
    every = {(epoch, c, i) for epoch in (1, 2) for c, n in HOLDINGS.items() for i in range(n)}
    assert set(made.used) == every
    assert set(made.used.values()) == {1}
    sizes = [sum(batch.values()) for batch in made.batches]
    assert max(sizes) - min(sizes) <= 1


def test_training_starts_only_when_the_expected_clients_are_there():
    made = world()
    for client in ("a", "b", "c"):
        assert not [effect for effect in made.join(client) if isinstance(effect, messages.OrderForward)]
    assert made.coordinator.phase is Phase.WAITING
    assert made.join("d")[-1].exchange == messages.ExchangeId(1, 1)


def test_a_start_does_not_wait_for_a_missing_client_for_longer_than_its_time_out():
    made = world()
    made.join("a")
    made.join("d")
    made.tick(29)
    assert made.coordinator.phase is Phase.WAITING
    made.tick(2)
    assert made.coordinator.phase is Phase.FORWARD


def test_clients_without_samples_in_a_step_get_no_request():
    made = joined()
    made.run()
    assert not [order for order in made.of(messages.OrderForward) if order.local_batch.samples == 0]
    assert not [order for order in made.of(messages.OrderForward) if order.local_batch.client == "b"]


@pytest.mark.parametrize(
    "phase", [Phase.FORWARD, Phase.SERVER_STEP, Phase.BACKWARD], ids=["forward", "server step", "backward"]
)
def test_a_client_lost_in_a_step_costs_one_attempt_and_the_rest_is_redrawn_without_it(phase):
    made = joined()
    advance_to(made, phase)
    effects = made.leave("d")
    assert isinstance(effects[1], messages.AbandonAttempt)
    orders = [effect for effect in effects if isinstance(effect, messages.OrderForward)]
    assert {order.local_batch.client for order in orders} <= {"a", "c"}
    assert {order.exchange for order in orders} == {messages.ExchangeId(1, 2)}
    made.run()
    assert len(made.of(messages.AbandonAttempt)) == 1
    assert [skipped.samples for skipped in made.of(messages.ReportSkipped)] == [{"d": 40}, {"d": 40}]
    assert made.finished.message.endswith("steps; it ended without 1 of 4 clients: d")
    assert sum(made.used.values()) == 2 * (13 + 1)


def test_a_client_lost_while_the_update_is_applied_aborts_nothing():
    made = joined()
    advance_to(made, Phase.UPDATE)
    made.leave("d")
    made.run()
    assert not made.of(messages.AbandonAttempt)
    assert made.coordinator.step > 1


def test_a_client_may_leave_once_its_gradient_is_received():
    made = joined()
    advance_to(made, Phase.BACKWARD)
    answered = made.pending[0].client
    made.deliver()
    made.leave(answered)
    assert made.coordinator.phase is Phase.BACKWARD
    assert not made.of(messages.AbandonAttempt)


def test_a_returning_client_contributes_what_it_has_left():
    made = joined()
    for _ in range(8):
        made.deliver()
    made.leave("d")
    made.join("d")
    made.run()
    assert set(made.used.values()) == {1}
    assert sum(made.used.values()) == 2 * sum(HOLDINGS.values())
    assert not made.of(messages.ReportSkipped)
    assert made.of(messages.ReportJoined)[-1].returned


def test_a_new_client_may_join_at_any_step():
    made = World(settings(1, epochs=1), {"a": 40, "z": 16})
    made.join("a")
    advance_to(made, Phase.BACKWARD)
    made.join("z")
    made.run()
    assert sum(made.used.values()) == 56
    assert not made.of(messages.AbandonAttempt)


def test_a_silent_client_is_lost_by_the_timer_although_nobody_else_answers():
    made = world(client_timeout=30)
    made.mute.add("d")
    made.join_all()
    made.run()
    made.tick(29.9)
    assert not made.of(messages.ReportLost)
    effects = made.tick(0.2)
    assert isinstance(effects[0], messages.EndSession)
    assert effects[1] == messages.ReportLost(
        "d", "timeout", "no answer within 30 s (spec.faultTolerance.clientTimeoutSeconds)"
    )
    made.run()
    assert made.finished.exit_code is ExitCode.FINISHED


def test_several_silent_clients_cost_one_attempt():
    made = world(client_timeout=30)
    made.mute |= {"a", "d"}
    made.join_all()
    made.run()
    made.tick(31)
    assert len(made.of(messages.AbandonAttempt)) == 1
    assert len(made.of(messages.ReportLost)) == 2


def test_late_and_repeated_answers_are_ignored_and_reported():
    made = joined()
    answer = made.pending[0]
    made.deliver()
    assert made.post(answer) == [messages.ReportIgnored(answer.client, answer.exchange)]
    late = messages.SmashedDataReceived("d", messages.ExchangeId(1, 9))
    assert made.post(late) == [messages.ReportIgnored("d", late.exchange)]
    stranger = messages.ClientGradientReceived("nobody", messages.ExchangeId(1, 1))
    assert made.post(stranger) == [messages.ReportIgnored("nobody", stranger.exchange)]


def test_a_server_step_of_an_abandoned_attempt_is_not_taken_for_the_new_one():
    made = joined()
    advance_to(made, Phase.SERVER_STEP)
    old = made.pending[-1]
    made.pending.clear()
    made.leave("c") if "c" in {
        s.client for s in made.of(messages.RunServerStep)[-1].local_batches
    } else made.leave("d")
    made.post(old)
    assert made.coordinator.phase is Phase.FORWARD


def test_a_second_connection_takes_the_place_of_the_first():
    made = joined()
    effects = made.join("d")
    assert isinstance(effects[0], messages.EndSession)
    assert effects[0].session == 4
    assert isinstance(effects[1], messages.ReportLost)
    assert made.post(messages.Left("d", 4, "old stream")) == []
    made.run()
    assert set(made.used.values()) == {1}
    assert sum(made.used.values()) == 2 * sum(HOLDINGS.values())


def test_a_client_that_returns_with_other_data_sits_out_the_epoch():
    made = joined()
    made.leave("d")
    made.holdings["d"] = 24
    made.join("d")
    made.run()
    epochs = [epoch for epoch, client, _ in made.used if client == "d"]
    assert set(epochs) == {2}
    assert len(epochs) == 24


def test_below_the_quorum_the_job_waits_then_goes_on():
    made = joined(quorum=3)
    made.leave("d")
    made.leave("c")
    made.run()
    assert made.coordinator.phase is Phase.WAITING
    assert made.coordinator.missing_requirement() == "2 of 4 expected clients connected, 3 needed; lost: c, d"
    made.tick(500)
    made.join("c")
    made.run()
    assert made.finished.exit_code is ExitCode.FINISHED


def test_below_the_quorum_for_too_long_the_job_fails_with_a_checkpoint():
    made = joined(quorum=3, quorum_timeout=600)
    while made.coordinator.step < 2:
        made.deliver()
    made.leave("d")
    made.leave("c")
    made.run()
    made.tick(599)
    assert made.finished is None
    made.tick(2)
    made.run()
    assert made.finished.exit_code is ExitCode.QUORUM_LOST
    assert "lost: c, d" in made.finished.message
    assert made.saved.step == made.coordinator.step


def test_the_quorum_time_out_counts_from_when_it_was_lost():
    made = joined(quorum=4)
    made.tick(0)
    for _ in range(3):
        made.deliver()
        made.tick(10)
    made.now += 5_000
    made.leave("d")
    made.tick(599)
    assert made.finished is None


@pytest.mark.parametrize("policy", [OnLostClient.WAIT, OnLostClient.FAIL], ids=str)
def test_the_policy_for_lost_clients_is_kept(policy):
    made = joined(on_lost=policy)
    made.deliver()
    made.leave("d")
    if policy is OnLostClient.FAIL:
        assert made.finished.exit_code is ExitCode.CLIENT_LOST
        return
    assert made.coordinator.phase is Phase.WAITING
    made.join("d")
    made.run()
    assert made.finished.exit_code is ExitCode.FINISHED
    assert sum(made.used.values()) == 2 * sum(HOLDINGS.values())


def test_a_job_without_any_samples_waits_instead_of_racing_through_its_epochs():
    made = World(settings(2), {"a": 0, "b": 0})
    made.join_all()
    assert made.coordinator.phase is Phase.WAITING
    assert made.coordinator.missing_requirement() == "none of the 2 connected clients has training samples"


def test_a_batch_larger_than_the_pooled_data_is_refused():
    made = joined(global_batch_size=55, client_timeout=30)
    assert made.coordinator.phase is Phase.WAITING
    made.tick(31)
    assert made.finished.exit_code is ExitCode.BAD_INPUT
    assert made.finished.message.startswith(
        "spec.sampling.globalBatchSize: is 55, but the clients hold only 54"
    )


def test_a_client_that_nobody_expected_does_not_end_a_job_whose_data_are_still_to_come():
    made = World(settings(2, global_batch_size=30), {"a": 3, "c": 40, "unexpected": 1})
    made.join("a")
    made.join("unexpected")
    assert made.coordinator.missing_requirement() == (
        "spec.sampling.globalBatchSize: is 30, but the clients hold only 4 samples; make it smaller"
    )
    made.tick(20)
    made.join("c")
    made.run()
    assert made.finished.exit_code is ExitCode.FINISHED
    assert sum(made.used.values()) == 2 * 44


def test_progress_is_the_same_before_and_after_a_resume_if_data_changed():
    made = World(settings(1, epochs=1), {"a": 40, "b": 40})
    made.join("a")
    made.join("b")
    for _ in range(12):
        made.deliver()
    made.leave("a")
    made.holdings["a"] = 20
    made.join("a")
    resumed = Coordinator(made.settings, 0.0, made.coordinator.state(0.0))
    assert resumed.fraction() == made.coordinator.fraction()


def test_a_model_is_evaluated_again_if_a_client_returned_during_its_evaluation():
    made = joined(epochs=1, evaluate_at=EvaluationPlace.SERVER)
    advance_to(made, Phase.BACKWARD)
    made.leave("d")
    advance_to(made, Phase.EVALUATION)
    made.join("d")
    made.run()
    steps = [effect.exchange.step for effect in made.of(messages.EvaluateAtServer)]
    assert len(steps) == 2
    assert steps[-1] == made.coordinator.step


def test_the_deadline_ends_the_job():
    made = joined(deadline=100)
    made.tick(101)
    made.run()
    assert made.finished.exit_code is ExitCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize("deliveries", range(0, 30, 3), ids=str)
def test_a_stop_keeps_what_was_reached_and_the_run_goes_on_as_if_undisturbed(deliveries):
    undisturbed = joined()
    undisturbed.run()
    stopped = joined()
    for _ in range(deliveries):
        stopped.deliver()
    stopped.post(messages.StopRequested("the process was told to stop"))
    stopped.run()
    assert stopped.finished.exit_code is ExitCode.INTERRUPTED
    resumed = World(stopped.settings, dict(HOLDINGS), state=stopped.coordinator.state(0.0))
    resumed.join_all()
    resumed.run()
    assert stopped.batches + resumed.batches == undisturbed.batches


def test_a_resume_from_json_goes_on_exactly():
    made = joined()
    while made.saved is None:
        made.deliver()
    state = type(made.saved).from_json(made.saved.to_json())
    assert state == made.saved
    reached = made.coordinator.step
    made.run()
    resumed = World(made.settings, dict(HOLDINGS), state=state)
    resumed.join_all()
    resumed.run()
    assert resumed.batches == made.batches[reached:]


def test_checkpoints_come_every_n_steps_and_at_the_end():
    made = joined(checkpoint_every=4)
    made.run()
    assert [saved.step for saved in made.of(messages.SaveCheckpoint)] == [4, 8, 12, 14]


def test_evaluation_at_the_server_follows_the_epochs_it_is_asked_for():
    made = joined(evaluate_at=EvaluationPlace.SERVER, evaluate_every=2, epochs=3)
    made.run()
    assert [effect.epoch for effect in made.of(messages.EvaluateAtServer)] == [2, 3]


def test_evaluation_at_the_clients_goes_range_by_range():
    made = world(evaluate_at=EvaluationPlace.CLIENTS, epochs=1, evaluation_range=4)
    made.evaluation = 10
    made.join_all()
    made.run()
    ranges = [
        (o.local_batch.offset, o.local_batch.samples)
        for o in made.of(messages.OrderEvaluation)
        if o.local_batch.client == "a"
    ]
    assert ranges == [(0, 4), (4, 4), (8, 2)]
    assert made.of(messages.ConcludeEvaluation) == [
        messages.ConcludeEvaluation(messages.ExchangeId(7, 0), 1, ())
    ]


def test_a_client_lost_while_evaluating_is_left_out_and_named():
    made = world(evaluate_at=EvaluationPlace.CLIENTS, epochs=1)
    made.evaluation = 10
    made.join_all()
    advance_to(made, Phase.EVALUATION)
    made.leave("c")
    made.mute.add("d")
    made.pending = [event for event in made.pending if event.client != "d"]
    made.run()
    made.tick(31)
    made.run()
    assert made.of(messages.ConcludeEvaluation)[0].missing == ("c", "d")
    assert made.finished.exit_code is ExitCode.FINISHED


def test_a_stop_while_evaluating_evaluates_again_after_the_resume():
    made = joined(evaluate_at=EvaluationPlace.SERVER, epochs=1)
    advance_to(made, Phase.EVALUATION)
    made.post(messages.StopRequested("stop"))
    made.run()
    resumed = World(made.settings, dict(HOLDINGS), state=made.coordinator.state(0.0))
    resumed.join_all()
    resumed.run()
    assert len(resumed.of(messages.EvaluateAtServer)) == 1
    assert resumed.finished.exit_code is ExitCode.FINISHED


@pytest.mark.parametrize("seed", seeds(40), ids=str)
def test_whatever_happens_no_sample_counts_twice_and_the_run_ends(seed):
    rng = np.random.default_rng(seed)
    holdings = {f"c{i}": int(rng.integers(0, 60)) for i in range(6)} | {"stays": 20}
    at = EvaluationPlace.CLIENTS if seed % 2 else None
    made = World(settings(7, evaluate_at=at, epochs=3), holdings, evaluation=5)
    made.join_all()
    for _ in range(600):
        live = [client for client in made.coordinator.membership.live() if client != "stays"]
        lost = made.coordinator.membership.lost()
        match rng.choice(["deliver", "leave", "join", "again", "tick"], p=[0.82, 0.06, 0.08, 0.02, 0.02]):
            case "deliver" if made.pending:
                made.deliver(int(rng.integers(len(made.pending))))
            case "leave" if live:
                made.leave(str(rng.choice(live)))
            case "join" if lost:
                made.join(str(rng.choice(lost)))
            case "again" if live:
                made.join(str(rng.choice(live)))
            case "tick":
                made.tick(1.0)
    made.run(rng)
    assert made.finished.exit_code is ExitCode.FINISHED
    assert set(made.used.values()) == {1}
    for epoch in (1, 2, 3):
        assert {i for e, client, i in made.used if (e, client) == (epoch, "stays")} == set(range(20))
    used = sum(made.used.values())
    skipped = sum(sum(effect.samples.values()) for effect in made.of(messages.ReportSkipped))
    assert used + skipped == 3 * sum(holdings.values())


def test_the_fraction_that_is_done_is_not_changed_by_clients_that_leave_and_return():
    made = joined()
    fractions = [made.coordinator.fraction()]
    for change in (lambda: made.leave("d"), lambda: made.join("d")):
        made.deliver()
        before = made.coordinator.fraction()
        change()
        assert made.coordinator.fraction() == before
    while made.pending:
        made.deliver()
        fractions.append(made.coordinator.fraction())
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)


def test_the_fraction_that_is_done_is_known_again_after_a_resume():
    made = joined(checkpoint_every=1)
    while made.coordinator.step < 3:
        made.deliver()
    resumed = World(settings(len(HOLDINGS)), dict(HOLDINGS), state=made.coordinator.state(0.0))
    resumed.join_all()
    assert resumed.coordinator.fraction() == made.coordinator.fraction() > 0
