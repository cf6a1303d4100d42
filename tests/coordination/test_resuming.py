"""What a resumed run remembers, whom it waits for, and what of a stop it must not remember."""

import pytest

from coordination.world import World, settings
from pslgs.coordination import messages
from pslgs.coordination.coordinator import Coordinator
from pslgs.coordination.messages import StopRequested
from pslgs.coordination.operation import Phase
from pslgs.coordination.state import CoordinatorState
from pslgs.spec.exit_codes import ExitCode
from pslgs.spec.fault_tolerance import OnLostClient

HOLDINGS = {"a": 13, "b": 0, "c": 9, "d": 40}
RETURN_SECONDS = 15.0


def joined(**changes) -> World:
    made = World(settings(len(HOLDINGS), **changes), dict(HOLDINGS))
    made.join_all()
    return made


def resumed(stopped: World, **changes) -> World:
    """A server that goes on from what the other one saved last; no client has come back yet."""
    assert stopped.saved is not None
    state = CoordinatorState.from_json(stopped.saved.to_json())
    kept = settings(len(HOLDINGS), return_seconds=RETURN_SECONDS, **changes)
    return World(kept, dict(HOLDINGS), state=state)


def stopped_at(step: int, **changes) -> World:
    made = joined(**changes)
    while made.coordinator.step < step:
        made.deliver()
    made.post(StopRequested("the process was told to stop"))
    made.run()
    return made


def test_a_resumed_job_says_which_clients_are_not_back_yet():
    later = resumed(stopped_at(3, quorum=2), quorum=2)
    later.join("b")
    assert later.coordinator.missing_requirement() == (
        "1 of 4 expected clients connected; not back yet: a, c, d"
    )


@pytest.mark.parametrize("lost", [("d",), ("a", "c"), ("d", "a", "c", "b")], ids=len)
@pytest.mark.parametrize("step", [1, 3, 7, 9], ids="after step {}".format)
def test_clients_that_leave_just_before_the_stop_change_nothing_of_the_resumed_run(step, lost):
    undisturbed = joined()
    undisturbed.run()
    stopped = joined()
    while stopped.coordinator.step < step:
        stopped.deliver()
    for client in lost:
        stopped.leave(client)
    assert stopped.coordinator.step == step
    stopped.post(StopRequested("the process that started it has ended"))
    stopped.run()

    later = resumed(stopped)
    later.join_all()
    later.run()
    assert stopped.batches + later.batches == undisturbed.batches


def stopped_after_a_loss():
    """Lose a client after two steps, stop after four, and finish in a resumed run; return both."""
    stopped = joined()
    while stopped.coordinator.step < 2:
        stopped.deliver()
    stopped.leave("c")
    while stopped.coordinator.step < 4:
        stopped.deliver()
    stopped.post(StopRequested("stop"))
    stopped.run()
    later = resumed(stopped)
    later.join_all()
    later.run()
    return stopped, later


def test_a_step_without_the_lost_client_is_remembered_with_its_draw():
    stopped, later = stopped_after_a_loss()
    assert set((stopped.used + later.used).values()) == {1}
    assert sum((stopped.used + later.used).values()) == 2 * sum(HOLDINGS.values())


def test_the_positions_of_steps_are_counted_on_over_losses_and_a_resume():
    stopped, later = stopped_after_a_loss()
    updates = [each for each in stopped.effects + later.effects if isinstance(each, messages.ApplyUpdate)]
    for epoch in (1, 2):
        positions = [update.position for update in updates if update.epoch == epoch]
        assert [position.taken for position in positions] == list(range(len(positions)))
        assert positions[-1].planned == len(positions)


@pytest.mark.parametrize("step", range(1, 16, 2), ids=str)
def test_a_restored_coordinator_has_the_state_that_it_was_given(step):
    saved = stopped_at(step, deadline=1e6).saved
    restored = Coordinator(settings(len(HOLDINGS)), 100.0, saved)
    assert restored.state(100.0) == saved


def test_a_resumed_run_waits_for_known_clients_as_long_as_their_way_back_may_take():
    later = resumed(stopped_at(3), client_timeout=1)
    later.join("a")
    later.tick(RETURN_SECONDS - 1)
    assert later.coordinator.phase is Phase.WAITING
    for client in ("b", "c"):
        later.join(client)
    later.tick(RETURN_SECONDS - 1)
    assert later.coordinator.phase is Phase.WAITING
    later.join("d")
    assert later.coordinator.phase is Phase.FORWARD
    assert not later.of(messages.ReportLost)


def test_a_client_time_out_longer_than_the_way_back_is_waited_for_in_full():
    later = resumed(stopped_at(3), client_timeout=40)
    later.join("a")
    later.tick(39)
    assert later.coordinator.phase is Phase.WAITING
    later.tick(2)
    assert later.coordinator.phase is Phase.FORWARD


def test_a_first_start_waits_for_the_client_time_out_only():
    made = World(settings(len(HOLDINGS), client_timeout=1, return_seconds=RETURN_SECONDS), dict(HOLDINGS))
    made.join("a")
    made.tick(1.1)
    assert made.coordinator.phase is Phase.FORWARD
    assert not made.of(messages.ReportLost)


def test_who_has_not_come_back_when_a_resumed_run_begins_is_reported_as_lost():
    later = resumed(stopped_at(3), client_timeout=1)
    later.join("a")
    later.join("b")
    later.tick(RETURN_SECONDS + 1)
    assert later.coordinator.phase is Phase.FORWARD
    assert later.of(messages.ReportLost) == [
        messages.ReportLost(client, "absent", "it has not come back since the server was started again")
        for client in ("c", "d")
    ]
    later.run()
    assert later.finished.exit_code is ExitCode.FINISHED
    assert len(later.of(messages.ReportLost)) == 2


def test_a_client_that_left_before_the_first_step_is_reported_once():
    fresh = World(settings(3, client_timeout=1), dict(HOLDINGS))
    for client in ("a", "b"):
        fresh.join(client)
    fresh.leave("b")
    fresh.tick(2)
    assert fresh.coordinator.phase is Phase.FORWARD
    assert [lost.kind for lost in fresh.of(messages.ReportLost)] == ["disconnected"]


def test_a_client_that_has_not_come_back_is_lost_to_a_job_that_fails_without_it():
    later = resumed(stopped_at(3), client_timeout=1, on_lost=OnLostClient.FAIL)
    later.join("a")
    later.tick(RETURN_SECONDS + 1)
    later.run()
    assert later.finished.exit_code is ExitCode.CLIENT_LOST
    assert "client b was lost" in later.finished.message
    assert not later.of(messages.OrderForward)


def test_a_job_that_waits_for_lost_clients_waits_for_those_that_have_not_come_back():
    later = resumed(stopped_at(3), client_timeout=1, on_lost=OnLostClient.WAIT)
    later.join("a")
    later.tick(RETURN_SECONDS + 1)
    assert later.coordinator.phase is Phase.WAITING
    assert (
        later.coordinator.missing_requirement() == "spec.faultTolerance.onLostClient is Wait; lost: b, c, d"
    )
    for client in ("b", "c", "d"):
        later.join(client)
    assert later.coordinator.phase is Phase.FORWARD
