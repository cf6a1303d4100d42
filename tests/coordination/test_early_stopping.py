"""The best evaluation is kept, and a training ends once its evaluations have stopped getting better."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordination.world import World, settings
from pslgs.coordination import messages
from pslgs.coordination.best_evaluation import BestEvaluation, Comparison
from pslgs.coordination.messages import KeepBest, StopRequested
from pslgs.coordination.state import CoordinatorState
from pslgs.spec.data import EvaluationPlace
from pslgs.spec.exit_codes import ExitCode

HOLDINGS = {"a": 13, "b": 0, "c": 9}
PLACES = pytest.mark.parametrize("place", list(EvaluationPlace), ids=str)
RISING = Comparison("Accuracy", higher_is_better=True, patience=2)
FALLING = Comparison("Loss", higher_is_better=False, patience=2)


def world(values, place=EvaluationPlace.SERVER, by=RISING, state=None, **changes) -> World:
    kept = settings(len(HOLDINGS), **({"evaluate_at": place, "comparison": by, "epochs": 6} | changes))
    made = World(kept, dict(HOLDINGS), evaluation=5, state=state)
    made.values = {epoch: value for epoch, value in enumerate(values, start=1) if value is not None}
    made.join_all()
    return made


def trained(values, place=EvaluationPlace.SERVER, by=RISING, **changes) -> World:
    made = world(values, place, by, **changes)
    made.run()
    return made


def epochs_of(made: World) -> list[int]:
    kind = messages.EvaluateAtServer, messages.ConcludeEvaluation
    return [effect.epoch for effect in made.effects if isinstance(effect, kind)]


def kept(made: World) -> list[int]:
    return [effect.epoch for effect in made.of(KeepBest)]


@PLACES
def test_the_model_of_each_better_evaluation_is_kept(place):
    made = trained([0.5, 0.4, 0.7, 0.7, 0.8], place, Comparison())
    assert kept(made) == [1, 3, 5]
    assert epochs_of(made) == [1, 2, 3, 4, 5, 6]
    assert not made.finished.early


@PLACES
@pytest.mark.parametrize(
    ("by", "values"),
    [(RISING, [0.5, 0.7, 0.6, 0.7]), (FALLING, [2.0, 1.0, 1.5, 1.0])],
    ids=["higher is better", "lower is better"],
)
def test_training_ends_after_as_many_evaluations_without_improvement(place, by, values):
    made = trained(values, place, by)
    assert epochs_of(made) == [1, 2, 3, 4]
    assert kept(made) == [1, 2]
    assert made.finished.exit_code is ExitCode.FINISHED
    assert made.finished.early
    steps = made.coordinator.step
    assert made.finished.message == (
        f"stopped early after epoch 4 of 6, {steps} steps: {by.metric} has not improved in 2 evaluations; "
        f"the best was {values[1]:.4g} after epoch 2"
    )
    assert made.saved.step == steps
    assert made.coordinator.total_steps() == steps


def test_a_change_below_the_smallest_delta_is_kept_but_earns_no_patience():
    by = Comparison("Accuracy", patience=2, min_delta=0.1)
    made = trained([0.5, 0.55, 0.58], by=by)
    assert kept(made) == [1, 2, 3]
    assert epochs_of(made) == [1, 2, 3]


def test_small_changes_that_add_up_are_an_improvement():
    by = Comparison("Accuracy", patience=2, min_delta=0.1)
    assert epochs_of(trained([0.5, 0.56, 0.62, 0.66, 0.68], by=by)) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("value", [None, math.nan, math.inf], ids=str)
def test_an_evaluation_without_a_finite_value_improves_nothing(value):
    made = trained([value, value, 0.5], by=RISING)
    assert epochs_of(made) == [1, 2]
    assert kept(made) == []
    assert made.finished.message.endswith("it was never finite")


def test_patience_that_ends_with_the_last_epoch_is_no_early_end():
    made = trained([0.5, 0.4, 0.3], epochs=3)
    assert not made.finished.early
    assert made.finished.message.startswith("trained 3 epochs")


@PLACES
@pytest.mark.parametrize("deliveries", range(0, 120, 6), ids=str)
def test_a_resumed_run_ends_where_an_undisturbed_one_does(place, deliveries):
    values = [0.5, 0.7, 0.6, 0.7, 0.9]
    undisturbed = trained(values, place)
    stopped = world(values, place)
    for _ in range(deliveries):
        if stopped.pending:
            stopped.deliver()
    stopped.post(StopRequested("the process was told to stop"))
    stopped.run()
    state = CoordinatorState.from_json(stopped.coordinator.state(0.0).to_json())
    resumed = world(values, place, state=state)
    resumed.run()
    assert resumed.finished == undisturbed.finished
    assert stopped.batches + resumed.batches == undisturbed.batches


def test_a_run_that_has_ended_early_goes_on_with_more_patience():
    values = [0.5, 0.4, 0.3, 0.6]
    ended = trained(values)
    patient = Comparison("Accuracy", patience=3)
    resumed = world(values, by=patient, state=ended.saved)
    resumed.run()
    assert epochs_of(resumed) == [4, 5, 6]
    assert kept(resumed) == [4]


def test_another_metric_begins_anew():
    ended = trained([0.5, 0.4, 0.3])
    resumed = world([0.5, 0.4, 0.3, 9.0, 8.0], by=FALLING, state=ended.saved)
    resumed.run()
    assert kept(resumed) == [4, 5]


def test_a_checkpoint_of_an_earlier_version_has_no_best_evaluation():
    document = trained([0.5, 0.6, 0.7], by=Comparison()).saved.to_json()
    del document["best"]
    assert CoordinatorState.from_json(document).best == BestEvaluation()


@given(values=st.lists(st.floats(-10, 10), min_size=1, max_size=20), patience=st.integers(1, 5))
def test_the_end_comes_exactly_when_patience_is_used_up(values, patience):
    by = Comparison("R2", patience=patience)
    state, ends = BestEvaluation(), []
    for epoch, value in enumerate(values, start=1):
        state = state.after(value, epoch, epoch, by)
        ends.append(state.ends(by))
    assert state.value == max(values)
    assert state.epoch == values.index(max(values)) + 1
    for epoch, end in enumerate(ends, start=1):
        best = values.index(max(values[:epoch])) + 1
        assert end == (epoch - best >= patience)
