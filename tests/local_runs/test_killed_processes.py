"""Runs survive, or resume after, SIGKILL of a process in the middle of a step."""

import signal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from local_runs import kill_points
from local_runs.runs import (
    described,
    processes_in,
    pslgs,
    pslgs_here,
    records,
    steps,
    until,
    usage,
    write_manifest,
)
from pslgs.spec import ExitCode
from pslgs.telemetry.records import AbortRecord, ClientRecord, FinishRecord

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    result = pslgs_here("run", write_manifest(folder, kill_points.manifest()), "--output", "run", cwd=folder)
    assert result.returncode == 0, described(result, folder / "run")
    return folder / "run"


def assert_equal_models(one, other):
    first, second = load_file(one / "model.safetensors"), load_file(other / "model.safetensors")
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


def test_two_runs_of_one_job_have_bit_identical_models(undisturbed, tmp_path):
    result = pslgs_here(
        "run", write_manifest(tmp_path, kill_points.manifest()), "--output", "run", cwd=tmp_path
    )
    assert result.returncode == 0, described(result, tmp_path / "run")
    assert_equal_models(tmp_path / "run", undisturbed)


@pytest.mark.parametrize(
    ("point", "rehearsals"),  # the server checks its part with a forward pass on blank samples first
    [("server forward", 1), ("server backward", 0)],
    ids=["forward", "backward"],
)
def test_a_run_whose_server_is_killed_resumes_to_a_bit_identical_model(
    undisturbed, tmp_path, point, rehearsals
):
    after = int(np.random.default_rng(len(point)).integers(len(steps(undisturbed))))
    job, run = write_manifest(tmp_path, kill_points.manifest()), tmp_path / "run"
    kill_points.kill(tmp_path, "server", point, after + rehearsals)
    killed = pslgs_here("run", job, "--output", "run", cwd=tmp_path)
    assert killed.returncode == ExitCode.INTERNAL_ERROR, described(killed, run)
    assert len(steps(run)) == after
    resumed = pslgs_here("run", job, "--output", "run", "--resume", cwd=tmp_path)
    assert resumed.returncode == 0, described(resumed, run)
    assert_equal_models(run, undisturbed)
    assert usage(run) == usage(undisturbed)


def test_a_run_whose_command_is_killed_resumes_to_a_bit_identical_model(undisturbed, tmp_path):
    job, run = write_manifest(tmp_path, kill_points.manifest()), tmp_path / "run"
    kill_points.kill(tmp_path, "server", "server backward", after=9, parent=True)
    killed = pslgs("run", job, "--output", "run", cwd=tmp_path)
    assert killed.returncode == -signal.SIGKILL, described(killed, run)
    until(lambda: isinstance(records(run)[-1], FinishRecord), "the server's end")
    until(lambda: processes_in(tmp_path) == [], "the end of all processes")
    resumed = pslgs_here("run", job, "--output", "run", "--resume", cwd=tmp_path)
    assert resumed.returncode == 0, described(resumed, run)
    assert_equal_models(run, undisturbed)
    assert usage(run) == usage(undisturbed)


@pytest.mark.parametrize(
    ("point", "after"),
    [("load", 40), ("client forward", 12), ("load", 45), ("client backward", 12)],
    ids=["loading", "forward", "loading the next batch", "backward"],
)
def test_a_killed_client_aborts_at_most_one_attempt_and_rejoins(tmp_path, point, after):
    waiting = {"onLostClient": "Wait", "clientTimeoutSeconds": 20}
    job, run = write_manifest(tmp_path, kill_points.manifest(faultTolerance=waiting)), tmp_path / "run"
    left = kill_points.kill(tmp_path, "client-1", point, after)
    result = pslgs_here("run", job, "--output", "run", cwd=tmp_path)
    assert result.returncode == 0, described(result, run)
    assert not left.exists()
    aborts = [record for record in records(run) if isinstance(record, AbortRecord)]
    assert len(aborts) <= 1
    assert all(abort.cause == "client_lost" for abort in aborts)
    lost, returned = [
        [record for record in records(run) if isinstance(record, ClientRecord) and record.change == change]
        for change in ("lost", "joined")
    ]
    assert [record.client for record in lost] == ["client-1"]
    assert lost[0].cause == "disconnected"
    assert [record.client for record in returned[3:]] == ["client-1"]
    later = [step for step in steps(run) if step.time > returned[3].time]
    assert any("client-1" in step.allocation for step in later)
    assert set(usage(run).values()) == {1}
    assert len(usage(run)) == 6 * kill_points.SAMPLES
