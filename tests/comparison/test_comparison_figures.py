import shutil

import numpy as np
import pytest

from comparison.conftest import STRATEGIES
from pslgs import InputError, compare, simulate
from pslgs.comparison.figures import BINS, over_the_epoch
from pslgs.comparison.summary import spread
from pslgs.comparison.trial import trial_document, trial_from_document
from simulation.jobs import job


def rows(comparison):
    return {row.strategy: row for row in comparison.rows()}


def test_a_row_is_the_mean_over_steps_and_seeds(looked):
    alone = [
        simulate(job(), strategy="FixedLocal", partition="severe", seed=seed, schedule_only=True).steps
        for seed in (3, 4)
    ]
    row = rows(looked)["FixedLocal"]
    assert row.seeds == 2
    assert row.steps_per_epoch.mean == np.mean([len(steps) / 2 for steps in alone])
    assert row.deviation.mean == pytest.approx(np.mean([steps.deviation.mean() for steps in alone]))
    assert row.deviation.deviation == pytest.approx(np.std([s.deviation.mean() for s in alone], ddof=1))
    assert row.small_batches.mean == pytest.approx(np.mean([(s.batch_size < 32).mean() for s in alone]))
    assert row.bytes_per_epoch.mean == np.mean([(s.bytes_up + s.bytes_down).sum() / 2 for s in alone])
    assert row.accuracy is None


def test_the_deviation_of_global_batches_is_the_expected_one_and_of_others_it_is_not(looked):
    uniform = looked.uniform()
    assert rows(looked)["Global"].deviation.mean == pytest.approx(uniform.expected, rel=0.05)
    assert rows(looked)["FixedLocal"].deviation_at_end.mean > uniform.bound > 1.5 * uniform.expected


def test_training_in_one_place_moves_every_sample_once_and_takes_the_servers_time(looked):
    row, global_row = rows(looked)["Centralized"], rows(looked)["Global"]
    assert row.bytes_per_epoch.mean == 1_437 * 64 * 4
    assert row.modelled_seconds.mean == pytest.approx(2 * 1_437 / 10_000)
    assert global_row.modelled_seconds.mean > row.modelled_seconds.mean


def test_a_larger_delay_weight_takes_less_time_and_deviates_more(looked):
    trades = looked.trades()
    assert [trade.delay_weight for trade in trades] == sorted({trade.delay_weight for trade in trades})
    assert trades[-1].epoch_seconds < 0.9 * trades[0].epoch_seconds
    assert trades[-1].deviation > 1.2 * trades[0].deviation


def test_without_links_there_is_no_time(trained):
    comparison, _ = trained
    row = rows(comparison)["Global"]
    assert (row.step_seconds, row.modelled_seconds, comparison.trades()) == (None, None, [])


@pytest.mark.slow
@pytest.mark.parametrize(("target", "reached"), [(0.3, 2), (0.99, 0)], ids=["low", "high"])
def test_a_target_is_reached_at_the_first_evaluation_that_has_it(trained, tmp_path, target, reached):
    folder = shutil.copytree(trained[1], tmp_path / "copy")
    comparison = compare(
        job(), strategies=["Global"], seeds=2, partition="severe", folder=folder, target_accuracy=target
    )
    goal = comparison.rows()[0].goal
    assert (goal.seeds if goal else 0) == reached
    if goal:
        first = [
            next(e.step for e in each.evaluations if e.accuracy >= target) for each in comparison.outcomes
        ]
        assert goal.steps == np.mean(first)


def test_without_a_target_it_is_most_of_the_best_accuracy(trained):
    comparison, _ = trained
    best = max(row.accuracy.mean for row in comparison.rows())
    assert 0.93 * best < comparison.target_accuracy <= 0.95 * best


def test_the_table_has_a_row_for_each_strategy_and_plain_values(looked):
    table = looked.table()
    assert table["strategy"] == list(STRATEGIES)
    assert {len(column) for column in table.values()} == {5}
    assert {type(value) for column in table.values() for value in column} <= {str, int, float, type(None)}


def test_an_outcome_survives_its_document(trained):
    comparison, _ = trained
    for outcome in comparison.outcomes:
        again = trial_from_document(trial_document(outcome))
        assert trial_document(again) == trial_document(outcome)
        assert (again.trial, again.evaluations) == (outcome.trial, outcome.evaluations)
        assert again.steps.loss.tobytes() == outcome.steps.loss.tobytes()


def test_epochs_of_different_lengths_are_laid_over_each_other(looked):
    line = over_the_epoch(looked.of(looked.strategies[2]), lambda steps: steps.batch_size.astype(float))
    assert (len(line.x) <= BINS, line.x[0] < 0.1, line.x[-1] > 0.9) == (True, True, True)
    assert line.mean[0] > 2 * line.mean[-1]
    assert (line.low <= line.mean).all()
    assert (line.mean <= line.high).all()


@pytest.mark.parametrize(
    ("values", "expected"),
    [([None, None], None), ([2.0], (2.0, 0.0)), ([1.0, None, 3.0], (2.0, 2**0.5))],
    ids=["nothing", "one", "two of three"],
)
def test_a_spread_is_over_what_is_known(values, expected):
    assert spread(values) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strategies": ["Globl"]}, "strategies: is 'Globl', must be one of Global, .*did you mean Global"),
        ({"strategies": ["Global", "Global"]}, "names one twice"),
        ({"strategies": ["FederatedAveraging"], "schedule_only": True}, "has no schedule; leave it out"),
        ({"partition": "sever"}, "did you mean severe"),
    ],
    ids=["unknown", "twice", "no schedule", "partition"],
)
def test_a_comparison_that_cannot_be_is_refused_in_a_sentence(arguments, message):
    with pytest.raises(InputError, match=message):
        compare(job(), **arguments)
