"""Fuzz decoders for longer than a test run does: ``python -m fuzzing --help``."""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fuzzing.engine import MEMORY, Report, Target, fuzz
from fuzzing.table import TARGETS, keep

BATCH = 200
"""Inputs of one seed."""


def main() -> int:
    """Fuzz the named targets one after the other, each in a process of its own; 1 if there are findings."""
    parser = argparse.ArgumentParser(prog="python -m fuzzing", description=__doc__.partition(":")[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"all by default: {', '.join(TARGETS)}")
    parser.add_argument("--seconds", type=float, default=10, help="time for each target (default: 10)")
    parser.add_argument("--seed", type=int, default=0, help="first seed (default: 0)")
    parser.add_argument(
        "--coverage", action="store_true", help="let atheris look for inputs that reach new code"
    )
    parser.add_argument("--keep", action="store_true", help="write findings into the corpus")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if unknown := set(given.targets) - set(TARGETS):
        parser.error(f"there is no target {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    if given.here:
        return _fuzz_here(given.targets[0], given)
    return max(_in_a_process(name, sys.argv[1:], given.targets) for name in given.targets or TARGETS)


def _in_a_process(name: str, arguments: list[str], targets: list[str]) -> int:
    options = [each for each in arguments if each not in targets]
    ended = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-m", "fuzzing", name, "--here", *options], check=False
    )
    if ended.returncode < 0:
        sys.stdout.write(f"{name}: the process was ended by signal {-ended.returncode}\n")
    return int(ended.returncode != 0)


def _fuzz_here(name: str, given: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="fuzzing-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        if given.coverage:
            from fuzzing.coverage_guided import explore

            explore(name, Path(folder), round(given.seconds), given.seed)
        whole = _fuzz(TARGETS[name](Path(folder)), given)
    _show(name, whole)
    if given.keep:
        for finding in whole.findings.values():
            keep(name, finding)
    return int(bool(whole.findings))


def _fuzz(target: Target, given: argparse.Namespace) -> Report:
    whole, seed = Report(), given.seed
    end = time.monotonic() + given.seconds
    while time.monotonic() < end:
        report = fuzz(target, BATCH, seed)
        seed += 1
        whole.inputs += report.inputs
        whole.accepted += report.accepted
        whole.findings = report.findings | whole.findings
    return whole


def _show(name: str, report: Report) -> None:
    share = report.accepted / report.inputs
    print(
        f"{name}: {report.inputs:,} inputs, {share:.0%} accepted, {len(report.findings)} findings", flush=True
    )
    for problem, finding in report.findings.items():
        print(f"\n== {problem}: {finding.data[:200]!r}\n{finding.trace}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
