"""The setting of the paper, with a small network: CIFAR-10 on sixteen clients with two classes each."""

import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from local_runs.runs import LIMIT_SECONDS, committed, start, steps, until, usage
from pslgs.spec import ExitCode

ROOT = Path(__file__).parents[2]
CIFAR10 = ROOT.parent / "shared" / "data" / "cifar10"
STEPS = 40
SMALL_NETWORK = "{architecture: cnn, options: {channels: 3, classes: 10, width: 16}, cutLayer: conv1}"
"""That of examples/paper/cifar10-small.yaml: a step of the ResNet takes seconds on a CPU."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not CIFAR10.exists(), reason="CIFAR-10 is not at ../shared/data/cifar10"),
]


def test_the_loss_falls_over_the_first_steps_of_cifar10(tmp_path):
    shutil.copy(ROOT / "examples" / "cifar10.yaml", tmp_path / "job.yaml")
    changes = [
        f"spec.data.train.path={CIFAR10}/train-*.parquet",
        f"spec.data.evaluation.path={CIFAR10}/test-*.parquet",
        f"spec.model={SMALL_NETWORK}",
        "spec.optimizer.learningRate=0.05",
    ]
    overrides = [argument for change in changes for argument in ("--set", change)]
    run = tmp_path / "run"
    process = start("run", "job.yaml", "--output", "run", *overrides, cwd=tmp_path)
    try:
        until(lambda: committed(run) >= STEPS or process.poll() is not None, "forty steps", 500)
    finally:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == ExitCode.INTERRUPTED, output
    losses = [step.loss for step in steps(run)]
    assert np.mean(losses[STEPS - 10 : STEPS]) < np.mean(losses[:5]) - 0.2
    assert all(step.deviation < step.deviation_bound for step in steps(run))
    assert max(step.batch_size for step in steps(run)) <= 128
    assert set(usage(run).values()) == {1}
