"""``pslgs status``, ``logs``, ``report`` and ``model`` of a job on a cluster, as it trains and afterwards."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.scenarios.trainings import start, training
from cluster.testcluster.stage import Cluster, is_true

pytestmark = pytest.mark.e2e

EPOCHS = 60


def test_a_job_is_followed_and_its_results_are_copied_out_of_the_cluster(
    own_cluster, namespace, samples, tmp_path
):
    own_cluster.run("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=privileged")
    start(own_cluster, namespace, training("digits", epochs=EPOCHS, evaluateEveryEpochs=20))

    during = json.loads(pslgs(own_cluster, namespace, "status", "digits", "--format=json"))
    assert during["phase"] in {"Running", "Complete"}
    if during["phase"] == "Running":  # the server itself tells more than the operator writes
        assert during["training"].keys() >= {"clientFaults", "heartbeat"}
    logs = pslgs(own_cluster, namespace, "logs", "digits").splitlines()
    assert {line.split()[0] for line in logs} == {"server", *samples}

    watched = pslgs(own_cluster, namespace, "status", "digits", "--watch")
    assert "TrainingFinished" in watched
    own_cluster.wait_for(namespace, "stj/digits", is_true("Complete"), seconds=60)
    page = tmp_path / "digits.html"
    pslgs(own_cluster, namespace, "report", "digits", "--output", page)
    assert "The run finished" in page.read_text()
    weights = tmp_path / "digits.safetensors"
    pslgs(own_cluster, namespace, "model", "digits", "--output", weights)
    pslgs(
        own_cluster, namespace, "model", "digits", "--model=best", "--output", tmp_path / "best.safetensors"
    )

    assert outputs(weights) == 10
    pods = own_cluster.run.json("--namespace", namespace, "get", "pods")["items"]
    assert not [pod for pod in pods if "reader" in pod["metadata"]["name"]]


def pslgs(cluster: Cluster, namespace: str, command: str, *arguments: str | Path) -> str:
    """Return what a command prints; it must succeed."""
    access = (f"--namespace={namespace}", f"--kubeconfig={cluster.kubeconfig}")
    done = subprocess.run(
        [sys.executable, "-m", "pslgs.cli", command, *arguments, *access],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def outputs(weights: Path) -> int:
    """Return the number of outputs of a model that was copied."""
    import torch  # noqa: PLC0415 - collecting tests does not need it

    import pslgs  # noqa: PLC0415

    return len(pslgs.load_model(str(weights))(torch.zeros(1, 64))[0])
