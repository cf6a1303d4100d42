"""A strategy is one module: whoever draws, plans, simulates, compares or reports finds it by its name."""

from pathlib import Path

import numpy as np
import pytest

import pslgs
from costs.conftest import OUTLOOK, document
from pslgs.comparison.figures import draw_steps_per_epoch
from pslgs.comparison.report import render
from pslgs.comparison.text import answers
from pslgs.coordination.settings import settings_from
from pslgs.costs.plan import plan
from pslgs.reporting.drawing import COLOURS
from pslgs.sampling import strategies
from pslgs.sampling.holdings import Holdings
from pslgs.sampling.registry import STRATEGIES, strategy_named
from pslgs.sampling.schedule import DrawnSchedule, LocalBatches
from pslgs.sampling.schedule_statistics import drawn_statistics
from pslgs.sampling.strategy import Strategy
from pslgs.spec import InputError, SplitTrainingJob, parse_job
from pslgs.spec.training import Baseline, SamplingStrategy
from simulation.jobs import job


def whole_epoch(holdings, sampling, rng) -> DrawnSchedule:
    """All samples in one step."""
    active = np.flatnonzero(holdings.remaining)
    return DrawnSchedule((LocalBatches(active, holdings.remaining[active]),))


def expect(distribution, batch_size, sampling, rng):
    schedule = whole_epoch(Holdings.of_sizes(distribution.sizes), sampling, rng)
    return drawn_statistics("WholeEpoch", distribution, batch_size, schedule)


def remarks(sampling):
    yield "spec.sampling.seed", f"is {sampling.seed}, which draws nothing."


TOY = Strategy(
    "WholeEpoch", colour="faint", draw=whole_epoch, expect=expect, remarks=remarks, uses_client_stats=True
)


@pytest.fixture
def toy(monkeypatch) -> Strategy:
    monkeypatch.setitem(STRATEGIES, TOY.name, TOY)
    return TOY


def naming(strategy: Strategy, wanted: SplitTrainingJob) -> SplitTrainingJob:
    """The job as a manifest whose enumeration has the strategy would give it."""
    sampling = wanted.spec.sampling.model_copy(update={"strategy": strategy.name})
    return wanted.model_copy(update={"spec": wanted.spec.model_copy(update={"sampling": sampling})})


def test_the_coordinator_of_a_run_draws_with_it(toy):
    settings = settings_from(naming(toy, job()).spec, expected_clients=3)
    schedule = settings.draw_schedule(Holdings.of_sizes([5, 0, 7]), np.random.default_rng(0))
    assert schedule.local_batches(0).sizes.tolist() == [5, 7]
    assert settings.uses_client_stats


def test_a_simulation_draws_with_it(toy):
    result = pslgs.simulate(job(), strategy="WholeEpoch", schedule_only=True)
    assert (result.strategy, result.steps.batch_size.tolist()) == ("WholeEpoch", [1_437, 1_437])


@pytest.mark.slow
def test_a_comparison_and_its_report_show_it(toy):
    comparison = pslgs.compare(
        job(), strategies=["Global", "WholeEpoch"], seeds=1, profile="lan", schedule_only=True
    )
    assert [row.steps_per_epoch.mean for row in comparison.rows()] == [23, 1]
    assert "with WholeEpoch 1." in answers(comparison)[1].text
    assert "WholeEpoch" in draw_steps_per_epoch(comparison)
    assert "var(--faint)" in render(comparison)


@pytest.mark.slow
def test_a_plan_predicts_it_and_passes_its_remarks_on(toy):
    planned = plan(naming(toy, parse_job(document())), OUTLOOK)
    assert (planned.own_strategy.strategy, planned.own_strategy.steps) == ("WholeEpoch", 1)
    assert [each.strategy for each in planned.strategies] == [*SamplingStrategy, "WholeEpoch", "Centralized"]
    assert ("spec.sampling.seed", "is 0, which draws nothing.") in [
        (advice.path, advice.text) for advice in planned.advice
    ]


def test_every_enumerated_strategy_has_one_module_and_every_module_is_enumerated():
    modules = [path for path in Path(strategies.__path__[0]).glob("*.py") if path.stem != "__init__"]
    assert list(STRATEGIES) == [*SamplingStrategy, *Baseline]
    assert len(modules) == len(STRATEGIES)


def test_every_strategy_has_a_colour_of_its_own():
    colours = [strategy.colour for strategy in STRATEGIES.values()]
    assert set(colours) <= COLOURS.keys()
    assert len(set(colours)) == len(colours)


def test_a_manifest_names_all_strategies_but_the_baselines():
    assert [name for name, each in STRATEGIES.items() if each.is_baseline] == [*Baseline]


def test_a_method_without_steps_has_no_settings_for_a_coordinator():
    with pytest.raises(ValueError, match="FederatedAveraging has no schedule to draw"):
        settings_from(job().spec, 3, strategy=STRATEGIES["FederatedAveraging"])


def test_an_unknown_name_is_told_with_the_nearest():
    with pytest.raises(InputError, match=r"--strategy: is 'Globl', must be one of .*; did you mean Global\?"):
        strategy_named("Globl", "--strategy")
