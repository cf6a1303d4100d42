"""Measures what the distributed run costs, side by side with what it is compared to.

python -m benchmarks [--repeats 3] [--only floor crowd]
"""

import argparse
import os
import platform

import torch
from benchmarks import crowd, floor, jobs, training, wire

WHAT = ("mlp", "floor", "resnet", "crowd", "wire")


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3, help="pairs of each comparison")
    parser.add_argument("--only", nargs="+", default=WHAT, choices=WHAT, help="what to measure")
    arguments = parser.parse_args()
    chosen = set(arguments.only)
    cores = len(os.sched_getaffinity(0))
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    print(f"{platform.machine()}, {cores} cores, {versions}\n")
    measured = []
    if "mlp" in chosen:
        measured.append(training.compare(jobs.mlp(4), arguments.repeats))
    if "resnet" in chosen:
        measured += [training.compare(jobs.resnet(clients), arguments.repeats) for clients in (2, 4, 16)]
    if measured:
        print(training.table(measured), training.phase_table(measured), sep="\n\n", end="\n\n", flush=True)
    if "floor" in chosen:
        print(floor.table(floor.compare(jobs.mlp(4), arguments.repeats)), end="\n\n", flush=True)
    if "crowd" in chosen:
        print(crowd.table([crowd.compare(each) for each in crowd.CROWDS]), end="\n\n", flush=True)
    if "wire" in chosen:
        wire.main(arguments.repeats)


if __name__ == "__main__":
    main()
