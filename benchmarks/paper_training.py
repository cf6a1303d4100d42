"""The paper's table of accuracies: what it will cost, and the training of all its trials."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.paper_settings import NAMES, Computing, Setting, compared, folder_of
from rich.console import Console

from pslgs.comparison.api import dask_cluster
from pslgs.comparison.chosen_metric import write_spread
from pslgs.comparison.step_cost import StepCost, measure_step
from pslgs.comparison.store import CELLS
from pslgs.comparison.summary import Comparison
from pslgs.costs.quantities import bytes_of, seconds
from pslgs.launch.compare_progress import ComparisonView
from pslgs.reporting.formatting import count
from pslgs.simulation.job_variants import Skew, job_variant
from pslgs.simulation.setup import SimulationOptions, Threads
from pslgs.spec.job import SplitTrainingJob
from pslgs.spec.manifest import parse_job, with_overrides
from pslgs.spec.metrics import Metric


@dataclass(frozen=True)
class Estimate:
    """What the trials that are not finished cost.

    Attributes:
        trials: Their number.
        seconds: Seconds that they compute, one after the other.
        at_a_time: How many are computed at a time.
        peak_bytes: Highest memory of one of them.
    """

    trials: int
    seconds: float
    at_a_time: int
    peak_bytes: int

    def __str__(self) -> str:
        if not self.trials:
            return "all trainings are finished"
        hours = self.seconds / self.at_a_time / 3600
        return (
            f"{count(self.trials, 'training')}, {self.at_a_time} at a time: about {hours:,.1f} h "
            f"({seconds(self.seconds)} of computing), each with up to {bytes_of(self.peak_bytes)} of memory"
        )


def estimate(
    job: SplitTrainingJob, settings: Sequence[Setting], seeds: int, computing: Computing
) -> Estimate:
    """Estimate the cost of all trainings from measured steps of Global, and the steps of every trial.

    The steps are those of the trial's own batches, which are drawn for one epoch; other epochs have as many.
    Steps of the other strategies count as those of Global, whose batches are never smaller.
    """
    missing = [
        (setting.clients, steps)
        for setting in settings
        for steps in _steps_of_missing(job, setting, seeds, computing)
    ]
    costs, workers = _measured(job, {clients for clients, _ in missing}, computing)
    evaluations = job.spec.epochs // job.spec.evaluate_every_epochs
    needed = sum(
        job.spec.epochs * steps * costs[clients].seconds + evaluations * costs[clients].evaluation_seconds
        for clients, steps in missing
    )
    at_a_time = max(1, min(workers, seeds * len(NAMES)))  # the settings are computed one after the other
    return Estimate(
        len(missing), needed, at_a_time, max((each.peak_bytes for each in costs.values()), default=0)
    )


def _measured(
    job: SplitTrainingJob, clients: Collection[int], computing: Computing
) -> tuple[dict[int, StepCost], int]:
    """Measure steps with some numbers of clients where trials are computed, and count those at a time."""
    threads = Threads(computing.threads, computing.threads)
    options = SimulationOptions(threads=threads, device=computing.device)
    variants = {each: job_variant(job, clients=each, skew=Skew.SEVERE) for each in sorted(clients)}
    if computing.scheduler is None:
        return {number: measure_step(each, options) for number, each in variants.items()}, computing.jobs
    with dask_cluster(computing.scheduler) as cluster:
        costs = {number: cluster.ask(measure_step, each, options) for number, each in variants.items()}
        return costs, cluster.workers()


def _steps_of_missing(
    job: SplitTrainingJob, setting: Setting, seeds: int, computing: Computing
) -> Iterator[int]:
    """Yield the steps per epoch of each trial of a setting whose training is not finished."""
    cells = folder_of(setting, computing, schedule_only=False) / CELLS
    for outcome in compared(one_epoch(job), setting, seeds, computing, schedule_only=True).outcomes:
        if not (cells / f"{outcome.trial.name}.json").exists():
            yield len(outcome.steps)


def one_epoch(job: SplitTrainingJob) -> SplitTrainingJob:
    """Return the job with a single epoch, which shows the batches of all."""
    document = job.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return parse_job(with_overrides(document, ["spec.epochs=1"]))


def print_accuracies(
    job: SplitTrainingJob, settings: Sequence[Setting], seeds: int, computing: Computing, console: Console
) -> None:
    """Train all trials, and print the accuracies of each setting as soon as it is finished."""
    print("| partition | K | " + " | ".join(NAMES.values()) + " |")
    print("|---|---|" + "---|" * len(NAMES), flush=True)
    for setting in settings:
        folder = folder_of(setting, computing, schedule_only=False)
        with ComparisonView(console, folder) as view:
            comparison = compared(job, setting, seeds, computing, schedule_only=False, watcher=view)
        print(f"| {setting.skew} | {setting.clients} | {' | '.join(_accuracies(comparison))} |", flush=True)


def _accuracies(comparison: Comparison) -> Iterator[str]:
    for row in comparison.rows():
        yield "–" if row.accuracy is None else write_spread(Metric.ACCURACY, row.accuracy)
