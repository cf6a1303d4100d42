"""Server and clients started by hand, as docs/how-to/without-kubernetes.md tells."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from local_runs.runs import exit_code, fork, steps, until, write_manifest
from pslgs.cli.main import app

SITES = {"north": 40, "south": 24}
JOB = {
    "apiVersion": "pslgs.dev/v1alpha1",
    "kind": "SplitTrainingJob",
    "metadata": {"name": "scans"},
    "spec": {
        "model": {
            "architecture": "mlp",
            "options": {"inputs": 3, "hidden": [4], "outputs": 2},
            "cutLayer": "hidden1",
        },
        "data": {"train": {"format": "NumPy", "path": "data/{client}.npz"}},
        "epochs": 2,
        "sampling": {"globalBatchSize": 16},
    },
}


@pytest.mark.slow
def test_sites_train_with_certificates_of_their_own(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "data").mkdir()
    for site, samples in SITES.items():
        values = rng.normal(size=(samples, 3)).astype(np.float32)
        np.savez(tmp_path / "data" / f"{site}.npz", x=values, y=(values[:, 0] > 0).astype(np.int64))
    keys = str(tmp_path / "keys")
    issued = CliRunner().invoke(
        app, ["identities", keys, "--server", "localhost", "--clients", ",".join(SITES)]
    )
    assert issued.exit_code == 0, issued.output
    job, settings = write_manifest(tmp_path, JOB), ("--threads", "1", "--cache", "cache")

    def start(name, *options):
        log = tmp_path / f"{name}.log"
        return fork(*options, "--identity", f"keys/{name}", *settings, cwd=tmp_path, log=log)

    ports = ("--listen", "localhost:0", "--http", "localhost:0")
    processes = [start("server", "server", job, "--run", "run", "--clients", str(len(SITES)), *ports)]
    until((tmp_path / "run" / "endpoints.json").exists, "the server's start")
    port = json.loads((tmp_path / "run" / "endpoints.json").read_text())["grpc"]
    server = ("--server", f"localhost:{port}")
    processes += [start(site, "client", job, "--id", site, *server) for site in SITES]
    assert [exit_code(process) for process in processes] == [0, 0, 0]
    assert sum(step.batch_size for step in steps(tmp_path / "run")) == 2 * sum(SITES.values())
    assert {site for step in steps(tmp_path / "run") for site in step.allocation} == set(SITES)
