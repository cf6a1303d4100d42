"""Train a job while faults happen to its processes and its disk.

    PYTHONPATH=tests python -m process_chaos --seed 1 --faults 100

As root it makes a file system in memory, for faults of disks, in namespaces of its own, where the monotonic
clock is years ahead.  Faults of memory need version 1 of control groups, those of the wall clock a compiler
of C.  With ``--exact`` clients are not lost, and the model has to be bit-identical to that of an undisturbed
run.
"""

import argparse
import math
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import NoReturn

import yaml

from process_chaos import memory, wall_clock
from process_chaos.driver import run_with_faults
from process_chaos.faults import EXACT, OF_DISKS, OF_MEMORY, Kind, draw
from process_chaos.processes import Run
from process_chaos.reference import equals_simulation
from process_chaos.samples import audit
from pslgs.spec import load_job

ROOT = Path(__file__).parents[2]
SAMPLES = 1437
"""Training samples of the digits."""

BATCH = 32
_STEPS_PER_FAULT = 80
_DISK = "48m"
_MONOTONIC_SECONDS = str(10 * 365 * 86400)
_IN_NAMESPACE = "PSLGS_CHAOS_DISK"


def main() -> int:
    """Run, check and print the result; return 0 if all is right."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--exact", action="store_true", help="lose no client, and compare the model")
    names = [kind.name for kind in Kind]
    parser.add_argument("--kinds", nargs="+", default=names, choices=names, help="kinds of faults")
    arguments = parser.parse_args()
    if os.geteuid() == 0 and _IN_NAMESPACE not in os.environ:
        _start_in_own_namespaces()
    with tempfile.TemporaryDirectory(prefix="process-chaos-") as name:
        folder = Path(name).resolve() / "job"
        folder.mkdir()
        clock = wall_clock.WallClock(Path(name).resolve()) if wall_clock.can_be_set() else None
        kinds = [Kind[name] for name in arguments.kinds]
        if arguments.exact:
            kinds = [kind for kind in kinds if kind in EXACT]
        if clock is None:
            kinds = [kind for kind in kinds if kind is not Kind.CLOCK_SET]
        if not memory.can_be_withheld():
            kinds = [kind for kind in kinds if kind not in OF_MEMORY]
        if _IN_NAMESPACE in os.environ:
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "chaos", folder], check=True)
        else:
            kinds = [kind for kind in kinds if kind not in OF_DISKS]
        try:
            return _check(folder, clock, kinds, arguments)
        finally:
            if _IN_NAMESPACE in os.environ:
                subprocess.run(["umount", "--lazy", folder], check=True)


def _start_in_own_namespaces() -> NoReturn:
    time = ["--time", "--monotonic", _MONOTONIC_SECONDS]
    if subprocess.run(["unshare", *time, "--fork", "true"], capture_output=True, check=False).returncode != 0:
        time = []
    own = ["unshare", "--mount", "--propagation", "private", *time, "--fork", "--kill-child"]
    command = [*own, sys.executable, "-m", "process_chaos", *sys.argv[1:]]
    os.execvpe(command[0], command, os.environ | {_IN_NAMESPACE: "1"})  # noqa: S606


def _check(
    folder: Path, clock: wall_clock.WallClock | None, kinds: list[Kind], arguments: argparse.Namespace
) -> int:
    epochs = max(2, math.ceil(arguments.faults * _STEPS_PER_FAULT / (SAMPLES // BATCH)))
    _write_job(folder, epochs)
    faults = draw(kinds, arguments.faults, arguments.seed)
    steps = epochs * math.ceil(SAMPLES / BATCH)
    injected = run_with_faults(Run(folder, clock), faults, steps, lambda text: print(text, flush=True))
    wrong = audit(folder / "run" / "metrics.jsonl", epochs, SAMPLES)
    if injected.total() < arguments.faults:
        wrong.append(f"the run ended after {injected.total()} of {arguments.faults} faults")
    if arguments.exact and not equals_simulation(folder, folder / "run" / "model.safetensors"):
        wrong.append("the model differs from that of an undisturbed run")
    _print(injected, wrong, epochs)
    return int(bool(wrong))


def _write_job(folder: Path, epochs: int) -> None:
    job = load_job(
        ROOT / "examples" / "digits.yaml",
        [
            f"spec.epochs={epochs}",
            f"spec.sampling.globalBatchSize={BATCH}",
            "spec.checkpoint.everySteps=4",
            "spec.backoffLimit=10000",
            "spec.faultTolerance={onLostClient: Wait, clientTimeoutSeconds: 60, quorumTimeoutSeconds: 300}",
        ],
    )
    document = job.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    (folder / "job.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")


def _print(injected: Counter[Kind], wrong: list[str], epochs: int) -> None:
    for kind, count in sorted(injected.items()):
        print(f"{count:4}  {kind}")
    print(f"{injected.total():4}  faults in {epochs} epochs")
    print("\n".join(wrong) or "complete, and every sample of every epoch was used exactly once")


if __name__ == "__main__":
    sys.exit(main())
