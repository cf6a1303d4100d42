"""Reproduces the paper's tables: the batches of its strategies or, with --train, their accuracies.

python -m benchmarks.paper_table examples/paper/cifar10.yaml [--seeds 10] [--folder runs/paper] [--set …]
python -m benchmarks.paper_table examples/paper/cifar10.yaml --train --seeds 5 [--estimate] [--device cuda]
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.paper_settings import NAMES, Computing, Setting, compared, settings
from benchmarks.paper_training import estimate, one_epoch, print_accuracies
from rich.console import Console

from pslgs.comparison.api import trials_at_a_time
from pslgs.comparison.summary import StrategySummary
from pslgs.simulation.job_variants import Skew
from pslgs.spec.job import SplitTrainingJob
from pslgs.spec.manifest import load_job


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table that the arguments ask for, or what it would cost."""
    given = parser().parse_args(arguments)
    job = load_job(given.job, given.set)
    here = given.scheduler is None
    jobs = given.jobs or (trials_at_a_time(given.device, given.threads) if here else 1)
    computing = Computing(given.folder, given.device, given.threads, jobs, given.scheduler)
    if not (given.train or given.estimate):
        print_batches(one_epoch(job), given.seeds, computing)
        return
    trained = list(settings(Skew.SEVERE, Skew.MILD))
    print(estimate(job, trained, given.seeds, computing), flush=True)
    if not given.estimate:
        print_accuracies(job, trained, given.seeds, computing, Console(stderr=True, highlight=False))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("job", type=Path, help="the manifest")
    options.add_argument("--seeds", type=int, default=10, help="of each setting, each with its own partition")
    options.add_argument("--train", action="store_true", help="train the severe and the mild partition")
    options.add_argument("--estimate", action="store_true", help="print only what --train would cost")
    options.add_argument(
        "--folder", type=Path, default=Path("runs/paper"), help="finished trials are kept here"
    )
    options.add_argument("--device", default="auto", help="of all trials, as of pslgs compare")
    options.add_argument("--threads", type=int, default=1, help="cores of each trial")
    options.add_argument("--jobs", type=int, help="trials at a time, as of pslgs compare")
    options.add_argument("--scheduler", help="Dask cluster that computes the trials, as of pslgs compare")
    options.add_argument("--set", action="append", default=[], help="path=value, as of the commands")
    return options


def print_batches(job: SplitTrainingJob, seeds: int, computing: Computing) -> None:
    """Print the batches of all settings, each as soon as they are drawn."""
    print("| partition | strategy | K | steps an epoch | mean Δ | mean Δ in the last 20 % | clients a step |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for setting in settings(*Skew):
        for row in compared(job, setting, seeds, computing, schedule_only=True).rows():
            print(row_of_batches(setting, row), flush=True)


def row_of_batches(setting: Setting, row: StrategySummary) -> str:
    """Write steps an epoch, deviations and active clients."""
    spreads = (row.steps_per_epoch, row.deviation, row.deviation_at_end, row.active_clients)
    figures = " | ".join(
        f"{value.mean:{form}} ± {value.deviation:{form}}" if value else "–"
        for value, form in zip(spreads, (".0f", ".2f", ".2f", ".1f"), strict=True)
    )
    return f"| {setting.skew} | {NAMES[row.strategy]} | {setting.clients} | {figures} |"


if __name__ == "__main__":
    main()
