"""Try whether the tests find each mutant: ``PYTHONPATH=tests python -m mutants``."""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from mutants.mutants import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[2]
SEEDS = 500
SECONDS = 600


def main() -> int:
    """Try mutants; return 1 if one survives."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="try those with this text in their description")
    only = parser.parse_args().only
    chosen = [mutant for mutant in MUTANTS if only in str(mutant)]
    survivors = 0
    with TemporaryDirectory() as folder:
        runtime = Path(folder) / "runtime"
        shutil.copytree(ROOT / "runtime", runtime, ignore=shutil.ignore_patterns("__pycache__"))
        for mutant in chosen:
            found_by = _found_by(mutant, runtime)
            survivors += found_by is None
            print(f"{found_by or 'SURVIVES':12} {mutant}", flush=True)
    print(f"{len(chosen) - survivors} of {len(chosen)} mutants are found")
    return int(survivors > 0)


def _found_by(mutant: Mutant, runtime: Path) -> str | None:
    """Return what finds a mutant in a copy of the runtime: the simulation or the tests; None for neither."""
    module = runtime / "pslgs" / mutant.module
    original = module.read_text()
    module.write_text(mutated(mutant, original))
    try:
        if mutant.is_simulated and _fails(
            runtime, "-m", "fault_simulation", "--seeds", str(SEEDS), "--quiet"
        ):
            return "simulation"
        tests = [str(ROOT / "tests" / each) for each in mutant.tests]
        arguments = ["-q", "-x", "-n", "0", "-m", "not slow and not e2e", "-p", "no:cacheprovider"]
        return (
            "tests"
            if _fails(runtime, "-m", "pytest", *arguments, "--hypothesis-profile=quick", *tests)
            else None
        )
    finally:
        module.write_text(original)


def mutated(mutant: Mutant, source: str) -> str:
    """Return a module with a mutant in it.

    Raises:
        ValueError: the code has changed, so that the mutant's place is not there, or not clear.
    """
    if source.count(mutant.before) != 1:
        raise ValueError(f"{mutant.module} has {source.count(mutant.before)} times: {mutant.before}")
    return source.replace(mutant.before, mutant.after)


def _fails(runtime: Path, *arguments: str) -> bool:
    """Return whether Python fails with the mutated runtime, or does not come to an end."""
    path = os.pathsep.join([str(runtime), str(ROOT / "tests")])
    environment = os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    return run(arguments, environment) != 0


def run(arguments: Sequence[str], environment: dict[str, str]) -> int:
    """Run Python in the project's folder; return its exit code, 1 if it takes too long."""
    command = [sys.executable, *arguments]
    try:
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, timeout=SECONDS, check=False
        ).returncode
    except subprocess.TimeoutExpired:
        return 1


if __name__ == "__main__":
    sys.exit(main())
