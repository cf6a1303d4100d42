"""A client whose data or code cannot be used ends the job, unless it comes to a training that runs."""

import pytest

from coordination.world import World, settings
from pslgs.coordination import messages
from pslgs.coordination.messages import Unusable
from pslgs.spec.exit_codes import ExitCode
from pslgs.spec.fault_tolerance import OnLostClient

HOLDINGS = {"a": 16, "b": 16, "c": 16}
PROBLEM = "spec.data.train.path: '/data' holds nothing"


def world(**changes) -> World:
    return World(settings(3, **{"checkpoint_every": 100} | changes), HOLDINGS)


def test_the_job_ends_at_once_before_others_have_waited_for_the_client():
    made = world()
    made.join("a")
    made.post(Unusable("b", None, PROBLEM))
    assert made.finished == messages.Finish(ExitCode.BAD_INPUT, f"client b: {PROBLEM}")
    assert made.now == 0


def test_the_first_of_several_is_named():
    made = world()
    made.post(Unusable("b", None, PROBLEM))
    made.post(Unusable("c", None, "spec.data.train: other"))
    assert made.finished.message.startswith("client b: ")


def test_a_newcomer_does_not_end_a_training_that_runs():
    made = world(expected_clients=2)
    made.join("a")
    made.join("b")
    made.deliver()
    assert made.post(Unusable("c", None, PROBLEM)) == []
    made.run()
    assert made.finished.exit_code is ExitCode.FINISHED


@pytest.mark.parametrize("on_lost", OnLostClient)
def test_a_client_that_trains_ends_the_job_and_the_checkpoint_keeps_the_steps(on_lost):
    made = world(on_lost=on_lost)
    made.join_all()
    while made.coordinator.step < 2:
        made.deliver()
    made.post(Unusable("b", made.coordinator.membership.session("b"), PROBLEM))
    made.run()
    assert made.finished == messages.Finish(ExitCode.BAD_INPUT, f"client b: {PROBLEM}")
    assert [lost.client for lost in made.of(messages.ReportLost)] == ["b"]
    assert [saved.step for saved in made.of(messages.SaveCheckpoint)] == [2]


def test_what_an_earlier_connection_of_a_client_reported_does_not_count():
    made = world()
    made.join_all()
    earlier = made.coordinator.membership.session("b")
    made.join("b")
    assert made.post(Unusable("b", earlier, PROBLEM)) == []
    made.run()
    assert made.finished.exit_code is ExitCode.FINISHED
