"""Train, and operate, for a long time while clients, jobs and nodes come and go; nothing may grow.

    PYTHONPATH=tests python -m soak training operating --minutes 60

Memory, threads and descriptors of processes and series of metrics are measured every ten seconds.  The slope
of each, after a warm-up, has to be below what is allowed, with a confidence of 95 %.  No object of a job may
be left in the cluster.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from soak import operating, training
from soak.gauges import Gauges, is_flat, table


def main() -> int:
    """Run, and print a table for each; return 0 if nothing grows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "what", nargs="*", choices=["training", "operating"], default=["training", "operating"]
    )
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--accept-unclear",
        action="store_true",
        help="for runs that are too short to tell what varies from what grows",
    )
    arguments = parser.parse_args()
    flat = True
    for name in arguments.what:
        gauges, told = _soak(name, arguments.minutes * 60, arguments.seed)
        trends = gauges.trends()
        flat &= is_flat(trends, unclear=arguments.accept_unclear)
        print(f"{name} for {arguments.minutes:g} minutes: {told}\n\n{table(trends)}\n", flush=True)
    return int(not flat)


def _soak(name: str, seconds: float, seed: int) -> tuple[Gauges, str]:
    if name == "operating":
        gauges, done = asyncio.run(operating.soak(seconds, seed))
        return gauges, str(done)
    with tempfile.TemporaryDirectory(prefix="soak-") as scratch:
        folder = Path(scratch).resolve() / "job"
        folder.mkdir()
        return training.soak(folder, seconds, seed)


if __name__ == "__main__":
    sys.exit(main())
