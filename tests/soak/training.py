"""A training whose clients come and go."""

import itertools
import os
import signal
import urllib.request
from pathlib import Path

import numpy as np
import yaml

from cluster.testcluster.process import free_port
from process_chaos.driver import stopped
from process_chaos.processes import Run
from process_chaos.samples import last_step
from pslgs.spec import ExitCode, load_job
from soak.gauges import Gauges

_ROOT = Path(__file__).parents[2]
_SAMPLE_SECONDS = 10.0
_PAUSE = (2.0, 6.0)
_CLIENT_TIMEOUT = 5
_PATIENT = "client-0"
"""A client that is left alone, so that its memory has a trend."""


def soak(folder: Path, seconds: float, seed: int) -> tuple[Gauges, str]:
    """Train in an empty folder for a time, while clients are killed or stand still, and measure.

    Raises:
        AssertionError: the training ended by itself, made no step for long, or could not be stopped.
    """
    port, rng = free_port(), np.random.default_rng(seed)
    _write_job(folder)
    run, disturbed = Run(folder), 0
    try:
        run.start("--metrics-port", str(port))
        run.wait_for_step(1, lambda: last_step(run.journal))
        gauges = Gauges()
        for number in itertools.count(1):
            while gauges.elapsed < min(seconds, number * _SAMPLE_SECONDS):
                disturbed += _disturb(run, rng)
                run.wait(float(rng.uniform(*_PAUSE)))
            _measure(gauges, run, port)
            if gauges.elapsed >= seconds:
                break
            before = last_step(run.journal)
            run.wait_for_step(before + 1, lambda: last_step(run.journal))
            if run.poll() is not None:
                raise AssertionError(f"the run ended with {run.exit_code}\n{run.words()}")
        run.press_ctrl_c()
        run.wait_until(lambda: run.poll() is not None, "the end of the run")
        assert run.exit_code == ExitCode.INTERRUPTED, run.words()
    finally:
        run.end_all()
    return gauges, f"{last_step(run.journal):,} steps, {disturbed:,} times a client was killed or stood still"


def _disturb(run: Run, rng: np.random.Generator) -> bool:
    """Kill a client, or let it stand still until the server has given it up; return whether there was one."""
    clients = {
        name: pid for name, pid in run.processes().items() if name.startswith("client-") and name != _PATIENT
    }
    if not clients:
        return False
    victim = clients[sorted(clients)[int(rng.integers(len(clients)))]]
    if rng.random() < 0.7:
        os.kill(victim, signal.SIGKILL)
    else:
        with stopped(victim):
            run.wait(_CLIENT_TIMEOUT + 1)
    return True


def _measure(gauges: Gauges, run: Run, port: int) -> None:
    processes = run.processes()
    for name in ("server", "command", "fork server", _PATIENT):
        if name in processes:
            gauges.note_process(name, processes[name])
    gauges.note("processes", len(run.pids()))
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    gauges.note("series of the server", sum(not line.startswith("#") for line in lines))
    gauges.note("checkpoints", len(list((run.folder / "run" / "checkpoints").iterdir())))


def _write_job(folder: Path) -> None:
    job = load_job(
        _ROOT / "examples" / "digits.yaml",
        [
            "spec.epochs=1000000",
            "spec.checkpoint.everySteps=100",
            "spec.backoffLimit=1000000",
            f"spec.faultTolerance={{onLostClient: Continue, clientTimeoutSeconds: {_CLIENT_TIMEOUT}}}",
        ],
    )
    document = job.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    (folder / "job.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
