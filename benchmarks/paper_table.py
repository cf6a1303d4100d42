"""Reproduces the reference table of the paper's sampling strategies, from label counts alone.

python -m benchmarks.paper_table examples/paper/cifar10.yaml [--partitions 10] [--folder runs/paper] [--set …]
"""

import argparse
from pathlib import Path

from pslgs.comparison.api import compare
from pslgs.comparison.summary import StrategySummary
from pslgs.simulation.job_variants import Skew
from pslgs.spec.job import SplitTrainingJob
from pslgs.spec.manifest import load_job
from pslgs.spec.training import SamplingStrategy

CLIENTS = (16, 32, 64, 128)
SKEWED: dict[str, str] = {
    SamplingStrategy.FIXED_PROPORTIONAL_LOCAL: "FPLS",
    SamplingStrategy.FIXED_LOCAL: "FLS",
}


def main() -> None:
    """Look at the batches of each setting, and print a table as its cells are finished."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("job", type=Path, help="the manifest")
    parser.add_argument("--partitions", type=int, default=10, help="of each setting, each with its own seed")
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/paper"), help="finished cells are kept here"
    )
    parser.add_argument("--set", action="append", default=[], help="path=value, as of the commands")
    arguments = parser.parse_args()
    job = load_job(arguments.job, ["spec.epochs=1", *arguments.set])
    print("| partition | strategy | K | steps an epoch | mean Δ | mean Δ in the last 20 % | clients a step |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for skew in Skew:
        for clients in CLIENTS:
            print_setting(job, skew, clients, arguments.partitions, arguments.folder)


def print_setting(job: SplitTrainingJob, skew: Skew, clients: int, partitions: int, folder: Path) -> None:
    """Print a row for each strategy; IID data need none but Global."""
    fixed = [] if skew is Skew.IID else list(SKEWED)
    comparison = compare(
        job,
        strategies=[SamplingStrategy.GLOBAL, *fixed],
        seeds=range(partitions),
        clients=clients,
        partition=skew,
        schedule_only=True,
        folder=folder / f"{skew}-{clients}",
    )
    for row in comparison.rows():
        print(
            f"| {skew} | {SKEWED.get(row.strategy, row.strategy)} | {clients} | {figures(row)} |", flush=True
        )


def figures(row: StrategySummary) -> str:
    """Write steps an epoch, deviations and active clients."""
    spreads = (row.steps_per_epoch, row.deviation, row.deviation_at_end, row.active_clients)
    forms = (".0f", ".2f", ".2f", ".1f")
    return " | ".join(
        f"{value.mean:{form}} ± {value.deviation:{form}}" if value else "–"
        for value, form in zip(spreads, forms, strict=True)
    )


if __name__ == "__main__":
    main()
