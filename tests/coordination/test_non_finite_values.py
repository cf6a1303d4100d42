"""What the coordinator does when a step cannot be computed with the numbers that came."""

import pytest

from coordination.world import World, settings
from pslgs.coordination import messages
from pslgs.coordination.end_cause import EndCause
from pslgs.coordination.messages import ExchangeId
from pslgs.coordination.numeric_faults import NumericFault
from pslgs.spec.data import EvaluationPlace
from pslgs.spec.exit_codes import ExitCode
from pslgs.spec.fault_tolerance import OnNonFinite

NAN = "gradients with values that are not finite"
HOLDINGS = {"a": 16, "b": 16, "c": 16}


def world(policy=OnNonFinite.DROP_CLIENT, **changes) -> World:
    made = World(settings(3, **{"on_non_finite": policy, "checkpoint_every": 1} | changes), HOLDINGS)
    made.join_all()
    return made


def deliver_until(made: World, kind: type) -> ExchangeId:
    """Deliver answers until an effect of ``kind`` is carried out, and take back its answer."""
    seen = len(made.of(kind))
    while len(made.of(kind)) == seen:
        made.deliver()
    made.pending.pop()
    return made.of(kind)[-1].exchange


def find(made: World, kind: type, *clients: str, found="the gradients of a cannot be used"):
    exchange = deliver_until(made, kind)
    return made.post(messages.NumericFaultFound(exchange, NumericFault(found, dict.fromkeys(clients, NAN))))


@pytest.mark.parametrize(
    "kind", [messages.RunServerStep, messages.ApplyUpdate], ids=["smashed data", "gradients"]
)
def test_the_client_is_dropped_and_the_step_is_done_without_it(kind):
    made = world()
    effects = find(made, kind, "a")
    made.pending = [event for event in made.pending if getattr(event, "client", None) != "a"]
    assert [effect.kind for effect in effects if isinstance(effect, messages.AbandonAttempt)] == [
        "non_finite"
    ]
    (end,) = [effect for effect in effects if isinstance(effect, messages.EndSession)]
    assert (end.client, end.cause, end.reason) == ("a", EndCause.NON_FINITE, f"it sent {NAN}")
    assert [(lost.client, lost.kind) for lost in made.of(messages.ReportLost)] == [("a", "non_finite")]
    assert {order.local_batch.client for order in effects if isinstance(order, messages.OrderForward)} <= {
        "b",
        "c",
    }
    made.run()
    assert made.finished.exit_code is ExitCode.FINISHED
    assert not any(client == "a" for _, client, _ in made.used)


def forget(made: World, client: str) -> None:
    """Let the answers of a client that are on their way be lost."""
    made.pending = [event for event in made.pending if getattr(event, "client", None) != client]


def test_the_third_faulty_client_ends_the_job():
    made = world()
    for client in HOLDINGS:
        find(made, messages.RunServerStep, client)
        forget(made, client)
        made.join(client)
    made.run()
    assert made.finished.exit_code is ExitCode.NON_FINITE
    assert made.finished.message.startswith(f"client c sent {NAN}")
    assert "third client" in made.finished.message


def test_a_client_that_returns_with_such_values_is_excluded_and_cannot_end_the_job():
    made = world()
    for kind in (messages.RunServerStep, messages.ApplyUpdate):
        find(made, kind, "a")
        forget(made, "a")
        made.join("a")
    assert [(lost.client, lost.kind) for lost in made.of(messages.ReportLost)] == [
        ("a", "non_finite"),
        ("a", "excluded"),
    ]
    assert made.coordinator.membership.excluded() == ("a",)
    assert made.of(messages.EndSession)[-1].cause is EndCause.EXCLUDED
    made.run()
    assert made.finished.exit_code is ExitCode.FINISHED


def test_a_skipped_step_costs_its_samples_and_nobody_is_lost():
    made = world(OnNonFinite.SKIP_STEP)
    exchange = deliver_until(made, messages.RunServerStep)
    skipped = {
        local_batch.client: local_batch.samples
        for local_batch in made.of(messages.RunServerStep)[-1].local_batches
    }
    made.post(messages.NumericFaultFound(exchange, NumericFault("…", {"a": NAN})))
    made.run()
    assert made.finished.exit_code is ExitCode.FINISHED
    assert not made.of(messages.ReportLost)
    first, *later = made.of(messages.ReportSkipped)
    assert (first.epoch, first.samples, later) == (1, skipped, [])
    used = {(epoch, client): 0 for epoch in (1, 2) for client in HOLDINGS}
    for (epoch, client, _), times in made.used.items():
        used[epoch, client] += times
    assert used == {
        (epoch, client): 16 - (skipped.get(client, 0) if epoch == 1 else 0) for epoch, client in used
    }


def test_an_epoch_without_a_step_is_evaluated_like_the_others():
    made = world(OnNonFinite.SKIP_STEP, evaluate_at=EvaluationPlace.SERVER)
    while made.pending:
        answer = made.pending[0]
        if isinstance(answer, messages.ServerStepDone) and made.coordinator.epoch.number == 2:
            fault = NumericFault("…", {"a": NAN})
            made.pending[0] = messages.NumericFaultFound(answer.exchange, fault)
        made.deliver()
    assert made.finished.exit_code is ExitCode.FINISHED
    assert {epoch for epoch, _, _ in made.used} == {1}
    assert [effect.epoch for effect in made.of(messages.EvaluateAtServer)] == [1, 2]


def test_a_resumed_job_remembers_what_it_skipped():
    made = world(OnNonFinite.SKIP_STEP)
    find(made, messages.RunServerStep, "a")
    skipped = {
        local_batch.client: local_batch.samples
        for local_batch in made.of(messages.RunServerStep)[-1].local_batches
    }
    while made.saved is None:
        made.deliver()
    again = World(made.settings, HOLDINGS, state=type(made.saved).from_json(made.saved.to_json()))
    again.join_all()
    again.run()
    assert [report.samples for report in again.of(messages.ReportSkipped)] == [skipped]


def test_a_job_may_fail_at_once():
    made = world(OnNonFinite.FAIL)
    find(made, messages.ApplyUpdate, "a")
    made.run()
    assert made.finished.exit_code is ExitCode.NON_FINITE
    assert made.finished.message == f"client a sent {NAN}, and spec.faultTolerance.onNonFinite is Fail"
    assert not made.of(messages.ReportLost)


@pytest.mark.parametrize("policy", OnNonFinite, ids=str)
def test_divergence_ends_the_job_and_writes_no_checkpoint_whatever_the_policy(policy):
    made = world(policy, checkpoint_every=2)
    while made.coordinator.step < 3:
        made.deliver()
    find(made, messages.ApplyUpdate, found="the loss of step 4 is nan")
    made.run()
    assert made.finished.exit_code is ExitCode.DIVERGED
    assert "the loss of step 4 is nan" in made.finished.message
    assert "lower spec.optimizer.learningRate" in made.finished.message
    assert [effect.step for effect in made.of(messages.SaveCheckpoint)] == [2]
    assert not made.of(messages.ReportLost)


def test_a_state_that_cannot_be_checkpointed_has_diverged():
    made = world(checkpoint_every=100, global_batch_size=48)
    while not made.of(messages.SaveCheckpoint):
        made.deliver()
    made.pending.clear()
    made.post(messages.CheckpointRefused("the optimizer's state is not finite"))
    assert made.finished.exit_code is ExitCode.DIVERGED


def test_a_fault_of_an_attempt_that_is_over_is_ignored():
    made = world()
    exchange = deliver_until(made, messages.RunServerStep)
    made.leave("a")
    made.post(messages.NumericFaultFound(exchange, NumericFault("…", {"b": NAN})))
    assert [(lost.client, lost.kind) for lost in made.of(messages.ReportLost)] == [("a", "disconnected")]


@pytest.mark.parametrize(
    ("policy", "lost", "exit_code"),
    [
        (OnNonFinite.DROP_CLIENT, ["a"], ExitCode.FINISHED),
        (OnNonFinite.SKIP_STEP, [], ExitCode.FINISHED),
        (OnNonFinite.FAIL, [], ExitCode.NON_FINITE),
    ],
    ids=str,
)
def test_an_evaluation_excludes_clients_whose_values_cannot_be_scored(policy, lost, exit_code):
    made = World(
        settings(3, on_non_finite=policy, evaluate_at=EvaluationPlace.CLIENTS, evaluation_range=8, epochs=1),
        HOLDINGS,
        evaluation=8,
    )
    made.join_all()
    while not any(effect.client == "a" for effect in made.of(messages.ScoreEvaluation)):
        made.deliver()
    scored = next(event for event in made.pending if isinstance(event, messages.EvaluationScored))
    assert scored.client == "a"
    made.pending.remove(scored)
    made.post(messages.NumericFaultFound(scored.exchange, NumericFault("…", {"a": NAN})))
    made.run()
    assert made.finished.exit_code is exit_code
    assert [report.client for report in made.of(messages.ReportLost)] == lost
    if exit_code is ExitCode.FINISHED:
        assert [conclusion.missing for conclusion in made.of(messages.ConcludeEvaluation)] == [("a",)]


def test_an_evaluation_continues_when_values_of_a_client_that_has_left_cannot_be_scored():
    changes = {"evaluate_at": EvaluationPlace.CLIENTS, "evaluation_range": 4, "epochs": 1}
    made = World(settings(3, **changes), HOLDINGS, evaluation=8)
    made.join_all()
    while not any(effect.client == "a" for effect in made.of(messages.ScoreEvaluation)):
        made.deliver()
    made.leave("a")
    scored = next(event for event in made.pending if getattr(event, "client", None) == "a")
    made.pending.remove(scored)
    made.post(messages.NumericFaultFound(scored.exchange, NumericFault("…", {"a": NAN})))
    made.run()
    assert made.finished.exit_code is ExitCode.FINISHED
    assert [conclusion.missing for conclusion in made.of(messages.ConcludeEvaluation)] == [("a",)]
