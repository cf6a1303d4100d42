"""Run more seeds than the tests: ``PYTHONPATH=tests python -m virtual_processes --seeds 1000``."""

import argparse
import logging
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from virtual_processes.checks import check
from virtual_processes.faults import scenario


def main() -> int:
    """Run seeds; return 1 if one of them shows a fault of the product."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many to run")
    parser.add_argument("--first", type=int, default=0, help="the first one")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    begun, failed, steps = time.monotonic(), 0, 0
    for seed in range(options.first, options.first + options.seeds):
        drawn = scenario(seed)
        with TemporaryDirectory() as folder:
            try:
                steps += len(check(drawn, Path(folder)).batches)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is what is searched for
                failed += 1
                print(f"seed {seed}: {type(error).__name__}: {error}", drawn, sep="\n", flush=True)
    print(f"{options.seeds} seeds, {steps} steps, {failed} failed, {time.monotonic() - begun:.0f} s")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
