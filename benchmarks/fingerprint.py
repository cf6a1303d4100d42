"""Fingerprint the results of fixed trainings, to show that a change alters no result.

Run it in two checkouts on one machine and compare what it prints: equal lines mean bit-identical
weights and equal journals (times left out).

    python -m benchmarks.fingerprint [--cifar10 FOLDER] [--only NAME NAME]
"""

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

ROOT = Path(__file__).parents[1]
DIGITS = str(ROOT / "examples" / "digits.yaml")
STRATEGIES = (
    "Global",
    "FixedLocal",
    "FixedProportionalLocal",
    "LatentDirichlet",
    "Centralized",
    "SequentialSplit",
    "FederatedAveraging",
)
COMPARED = {
    "step": (
        "epoch",
        "step",
        "attempt",
        "loss",
        "batch_size",
        "deviation",
        "deviation_expected",
        "deviation_bound",
        "learning_rate",
        "allocation",
    ),
    "evaluation": ("epoch", "step", "samples", "loss", "accuracy", "clients", "missing", "recalibrated"),
}
"""Records and their fields that the manifest decides; later versions add fields, and times differ."""
BEST = "best.safetensors"
"""A copy of the weights of the best evaluation, which the first versions did not write."""
CIFAR_STEPS = 40
LIMIT_SECONDS = 3600


def main() -> None:
    """Run the trainings and print a line for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cifar10", type=Path, help="folder with CIFAR-10 as Parquet; left out without it")
    parser.add_argument("--only", nargs="+", default=[], help="names of trainings")
    arguments = parser.parse_args()
    known = dict(trainings(arguments.cifar10))
    if unknown := set(arguments.only) - known.keys():
        parser.error(f"--only: {', '.join(sorted(unknown))}: there are {', '.join(known)}")
    for name, train in known.items():
        if not arguments.only or name in arguments.only:
            with tempfile.TemporaryDirectory() as folder:
                print(f"{name:<32}{train(Path(folder) / 'run')}", flush=True)


def trainings(cifar10: Path | None) -> Iterator[tuple[str, Callable[[Path], str]]]:
    """Yield the name of each training, and a function that trains in a folder and returns the fingerprint."""
    yield "run", _trained
    yield "run-resumed", _resumed
    for strategy in STRATEGIES:
        yield f"simulate-{strategy}", partial(_simulated, strategy)
    if cifar10 is not None:
        yield "run-cifar10-40-steps", partial(_cifar, cifar10.resolve())


def fingerprint(folder: Path, weights: Path, steps: int | None = None) -> str:
    """Hash a run's weights and its journal, up to ``steps`` where given."""
    tensors = hashlib.sha256()
    for path in sorted(set(weights.glob("*.safetensors")) - {weights / BEST}):
        for name, tensor in sorted(load_file(path).items()):
            tensors.update(f"{name}{tensor.shape}".encode() + np.ascontiguousarray(tensor).tobytes())
    records = [record for record in _records(folder) if record.get("kind") in COMPARED]
    if steps is not None:
        records = [record for record in records if record["kind"] == "step" and record["step"] <= steps]
    compared = [[record.get(key) for key in COMPARED[record["kind"]]] for record in records]
    journal = hashlib.sha256(json.dumps(compared, sort_keys=True).encode())
    return (
        f"weights {tensors.hexdigest()[:16]}  journal {journal.hexdigest()[:16]}  ({len(compared)} records)"
    )


def _trained(folder: Path) -> str:
    _pslgs("run", DIGITS, "--output", str(folder)).wait(LIMIT_SECONDS)
    return fingerprint(folder, folder)


def _resumed(folder: Path) -> str:
    _interrupted(_pslgs("run", DIGITS, "--output", str(folder)), folder, 250)
    _pslgs("run", DIGITS, "--output", str(folder), "--resume").wait(LIMIT_SECONDS)
    return fingerprint(folder, folder)


def _simulated(strategy: str, folder: Path) -> str:
    arguments = ("--strategy", strategy, "--set", "spec.epochs=4", "--output", str(folder))
    _pslgs("simulate", DIGITS, *arguments).wait(LIMIT_SECONDS)
    return fingerprint(folder, folder)


def _cifar(data: Path, folder: Path) -> str:
    settings = {
        "data.train.path": f"{data}/train-*.parquet",
        "data.evaluation.path": f"{data}/test-*.parquet",
        "checkpoint.everySteps": str(CIFAR_STEPS),
    }
    overrides = [part for name, value in settings.items() for part in ("--set", f"spec.{name}={value}")]
    manifest = str(ROOT / "examples" / "cifar10.yaml")
    _interrupted(_pslgs("run", manifest, "--output", str(folder), *overrides), folder, CIFAR_STEPS + 1)
    weights = next((folder / "checkpoints").glob(f"step-*{CIFAR_STEPS}"))
    return fingerprint(folder, weights, CIFAR_STEPS)


def _interrupted(process: "subprocess.Popen[bytes]", folder: Path, steps: int) -> None:
    """Interrupt a run as Ctrl-C does once it has committed so many steps."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if sum(record.get("kind") == "step" for record in _records(folder)) >= steps:
            process.send_signal(signal.SIGINT)
            break
        time.sleep(0.05)
    process.wait(LIMIT_SECONDS)


def _records(folder: Path) -> list[dict[str, Any]]:
    journal = folder / "metrics.jsonl"
    if not journal.exists():
        return []
    lines = journal.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1]]


def _pslgs(*arguments: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "pslgs.cli", *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)


if __name__ == "__main__":
    main()
