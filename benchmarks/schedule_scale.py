"""Measures how time and memory of one epoch's global schedule grow with the samples.

python -m benchmarks.schedule_scale [--clients 100000] [--largest 8]
"""

import argparse
import resource
import time

import numpy as np

from pslgs.sampling.schedule import draw_global_schedule

BATCH = 128
STEPS_READ = 1_000


def main() -> None:
    """Measure 10⁵ … 10⁸ samples, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=100_000, help="clients that hold the samples")
    parser.add_argument("--largest", type=int, default=8, help="exponent of the largest epoch")
    arguments = parser.parse_args()
    print("| samples | steps | drawn in (processor time) | ns a sample | a step read in | memory at most |")
    print("|---|---|---|---|---|---|")
    for exponent in range(5, arguments.largest + 1):
        print(row(10**exponent, arguments.clients), flush=True)


def row(samples: int, clients: int) -> str:
    """Draw a schedule over clients of unequal size, and read some of its steps."""
    rng = np.random.default_rng(0)
    held = rng.multinomial(samples, rng.dirichlet(np.full(clients, 3.0)))
    begun = time.process_time()
    schedule = draw_global_schedule(held, BATCH, rng)
    drawn = time.process_time()
    for step in range(min(STEPS_READ, len(schedule))):
        schedule.local_batches(step)
    read = (time.process_time() - drawn) / min(STEPS_READ, len(schedule))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds = drawn - begun
    return (
        f"| 10^{len(str(samples)) - 1} | {len(schedule):,} | {seconds:.2f} s | {seconds / samples * 1e9:.0f} "
        f"| {read * 1e6:.0f} µs | {peak:.0f} MiB |"
    )


if __name__ == "__main__":
    main()
