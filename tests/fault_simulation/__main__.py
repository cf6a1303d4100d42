"""Search for seeds that violate an invariant: ``PYTHONPATH=tests python -m fault_simulation``."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor

from fault_simulation.audit import InvariantError
from fault_simulation.run import check, report, shrunk, violation_of
from fault_simulation.scenario import scenario

SEEDS_AT_ONCE = 200


def main() -> int:
    """Run seeds, print what they violate, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000, help="how many to run")
    parser.add_argument("--first", type=int, default=0, help="the first one")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after this time")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, help="run this one, and print its trace")
    parser.add_argument("--lines", type=int, default=60, help="lines of a trace that are printed")
    parser.add_argument(
        "--quiet", action="store_true", help="stop at the first violation, and do not shrink it"
    )
    options = parser.parse_args()
    if options.seed is not None:
        print(report(shrunk(scenario(options.seed)), options.lines))
        return 0
    last = options.first + options.seeds
    if options.quiet:
        return int(any(violation_of(scenario(seed)) for seed in range(options.first, last)))
    chunks = [
        range(first, min(last, first + SEEDS_AT_ONCE)) for first in range(options.first, last, SEEDS_AT_ONCE)
    ]
    return _search(chunks, options.processes, time.monotonic() + options.seconds, options.lines)


def _search(chunks: Iterable[range], processes: int, until: float, lines: int) -> int:
    begun, ends, steps, faults = time.monotonic(), Counter[str](), 0, 0
    with ProcessPoolExecutor(processes) as pool:
        for future in [pool.submit(run_seeds, chunk) for chunk in chunks]:
            if time.monotonic() > until:
                future.cancel()
                continue
            found = future.result()
            ends += found.ends
            steps, faults = steps + found.steps, faults + found.faults
            for seed in found.violations:
                print(report(shrunk(scenario(seed)), lines))
    seconds = time.monotonic() - begun
    count = sum(ends.values())
    print(f"{count} seeds in {seconds:.0f} s, {count / seconds:.0f} a second: {steps} steps, {faults} faults")
    print(", ".join(f"{end} {number}" for end, number in ends.most_common()))
    return int("VIOLATED" in ends)


class Found:
    """What some seeds gave: how jobs ended, their steps and faults, and the seeds that violate something."""

    def __init__(self) -> None:
        self.ends: Counter[str] = Counter()
        self.steps = self.faults = 0
        self.violations: list[int] = []


def run_seeds(seeds: Iterable[int]) -> Found:
    """Run some seeds."""
    found = Found()
    for seed in seeds:
        drawn = scenario(seed)
        found.faults += len(drawn.faults)
        try:
            outcome = check(drawn)
        except InvariantError:
            found.violations.append(seed)
            found.ends["VIOLATED"] += 1
        else:
            found.steps += outcome.steps
            found.ends[outcome.finish.exit_code.name] += 1
    return found


if __name__ == "__main__":
    sys.exit(main())
