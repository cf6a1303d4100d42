"""`pslgs run`: files that it writes, stopping and resuming, and tolerated errors."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from local_runs import kill_points
from local_runs.runs import (
    LIMIT_SECONDS,
    committed,
    described,
    processes_in,
    pslgs,
    pslgs_here,
    records,
    start,
    steps,
    until,
    usage,
    write_manifest,
)
from pslgs.spec import ExitCode, parse_job
from pslgs.splitting.network import build_network
from pslgs.telemetry.records import CheckpointRecord, EvaluationRecord, FinishRecord

pytestmark = pytest.mark.slow

TRAIN = {"format": "Custom", "entrypoint": "local_runs.kill_points:Vectors"}


def test_a_run_writes_a_model_a_report_and_a_journal(tmp_path):
    document = kill_points.manifest(
        epochs=3,
        data=kill_points.manifest()["spec"]["data"] | {"evaluation": {"at": "Clients"} | TRAIN},
        transport={"compression": "Int8"},
    )
    result = pslgs("run", write_manifest(tmp_path, document), cwd=tmp_path)
    run = tmp_path / "runs" / "killable"
    assert result.returncode == 0, described(result, run)
    assert f"{Path('runs/killable/report.html')}" in result.stdout

    evaluations = [record for record in records(run) if isinstance(record, EvaluationRecord)]
    assert [record.epoch for record in evaluations] == [1, 2, 3]
    last = evaluations[-1]
    assert list(last.clients) == ["client-0", "client-1", "client-2"]
    assert last.samples == sum(client.samples for client in last.clients.values()) == kill_points.SAMPLES
    pooled = sum(client.accuracy * client.samples for client in last.clients.values()) / last.samples
    assert last.accuracy == pytest.approx(pooled)
    assert last.accuracy > evaluations[0].accuracy

    network = build_network(parse_job(document).spec.model, seed=0)
    assert load_file(run / "model.safetensors").keys() == network.named_tensors().keys()
    assert "<svg" in (run / "report.html").read_text()
    assert set(usage(run).values()) == {1}
    again = pslgs_here("report", str(run), "--output", "again.html", cwd=tmp_path)
    assert (tmp_path / "again.html").read_bytes() == (run / "report.html").read_bytes(), again.stderr
    exported = pslgs_here("export", str(run), "--output", "m.safetensors", cwd=tmp_path)
    assert exported.returncode == 0, exported.stderr
    one, other = load_file(tmp_path / "m.safetensors"), load_file(run / "model.safetensors")
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_ctrl_c_leaves_a_resumable_run_and_no_process(tmp_path):
    job, run = write_manifest(tmp_path, kill_points.manifest(epochs=4000)), tmp_path / "run"
    process = start("run", job, "--output", "run", cwd=tmp_path)
    until(lambda: committed(run) > 3, "the third step")
    assert len(processes_in(tmp_path)) >= 5
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == ExitCode.INTERRUPTED, output
    assert "--resume" in output
    assert processes_in(tmp_path) == []
    reached = len(steps(run))
    finish = records(run)[-1]
    assert isinstance(finish, FinishRecord)
    assert (finish.outcome, finish.message) == ("INTERRUPTED", "stopped by SIGINT")

    short = [*("--set", f"spec.epochs={steps(run)[-1].epoch + 1}"), *("--output", "run", "--resume")]
    resumed = pslgs_here("run", job, *short, cwd=tmp_path)
    assert resumed.returncode == 0, described(resumed, run)
    assert [step.step for step in steps(run)][reached - 1 : reached + 1] == [reached, reached + 1]
    assert set(usage(run).values()) == {1}


def imports_torch(process: int) -> bool:
    try:
        return "libtorch" in Path(f"/proc/{process}/maps").read_text()
    except OSError:
        return False


def test_ctrl_c_while_the_modules_are_imported_ends_without_a_traceback(tmp_path):
    process = start("run", write_manifest(tmp_path, kill_points.manifest(epochs=4000)), cwd=tmp_path)
    until(lambda: any(map(imports_torch, {*processes_in(tmp_path)} - {process.pid})), "a fork server")
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == ExitCode.INTERRUPTED, output
    assert output
    assert "Traceback" not in output
    until(lambda: processes_in(tmp_path) == [], "the end of all processes")


def job_whose_data_do_when_opened(what: str, folder: Path) -> str:
    code = (
        "import os, signal\n"
        "from pathlib import Path\n"
        "from local_runs.kill_points import Vectors\n"
        "class Scans(Vectors):\n"
        "    def __init__(self, *arguments, **options):\n"
        f"        {what}\n"
    )
    (folder / "scans.py").write_text(code)
    train = {"format": "Custom", "entrypoint": "scans:Scans"}
    document = kill_points.manifest(data=kill_points.manifest()["spec"]["data"] | {"train": train})
    return write_manifest(folder, document)


def test_ctrl_c_while_the_data_are_checked_ends_without_a_traceback(tmp_path):
    job = job_whose_data_do_when_opened("Path('opening').touch(); signal.pause()", tmp_path)
    process = start("run", job, cwd=tmp_path)
    until((tmp_path / "opening").exists, "the check of the data")
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == ExitCode.INTERRUPTED, output
    assert output.endswith("stopped by SIGINT; the training had not begun\n")
    assert "Traceback" not in output
    until(lambda: processes_in(tmp_path) == [], "the end of all processes")


def test_a_check_of_the_data_whose_process_is_killed_is_told(tmp_path):
    job = job_whose_data_do_when_opened("os.kill(os.getpid(), signal.SIGKILL)", tmp_path)
    result = pslgs("run", job, cwd=tmp_path)
    assert result.returncode == ExitCode.BAD_INPUT
    assert "the process that checked the model and the data ended unexpectedly" in result.stderr
    assert not (tmp_path / "runs").exists()


def test_no_process_outlives_the_one_that_started_it(tmp_path):
    job, run = write_manifest(tmp_path, kill_points.manifest(epochs=4000)), tmp_path / "run"
    process = start("run", job, "--output", "run", cwd=tmp_path)
    until(lambda: committed(run) > 0, "the first step")
    process.kill()
    process.communicate(timeout=LIMIT_SECONDS)
    until(lambda: processes_in(tmp_path) == [], "the end of all processes")
    assert isinstance(records(run)[-1], FinishRecord)


def test_a_users_code_that_fails_in_training_ends_the_run_with_its_place_and_traceback(tmp_path):
    (tmp_path / "scans.py").write_text(
        "from local_runs.kill_points import Vectors\n"
        "class Scans(Vectors):\n"
        "    def __getitem__(self, index):\n"
        "        if index == 150: raise KeyError('no pixels')\n"
        "        return super().__getitem__(index)\n"
    )
    train = {"format": "Custom", "entrypoint": "scans:Scans"}
    document = kill_points.manifest(data=kill_points.manifest()["spec"]["data"] | {"train": train})
    job = write_manifest(tmp_path, document)
    result = pslgs("--debug", "run", job, "--output", "run", cwd=tmp_path)
    assert result.returncode == ExitCode.BAD_INPUT, described(result, tmp_path / "run")
    lines = result.stderr.splitlines()
    assert lines[-1].startswith("error: client client-")
    assert lines[-1].endswith("failed to return sample 150 with KeyError: 'no pixels' (scans.py, line 4)")
    assert "    if index == 150: raise KeyError('no pixels')" in lines
    finish = records(tmp_path / "run")[-1]
    assert (finish.outcome, f"error: {finish.message}") == ("BAD_INPUT", lines[-1])


def test_clients_with_files_of_their_own_train_together(tmp_path):
    rng = np.random.default_rng(0)
    for site, samples in {"berlin": 90, "oslo": 30, "rome": 7}.items():
        labels = rng.integers(0, 4, samples)
        vectors = rng.normal(size=(samples, 16)).astype(np.float32)
        np.savez(tmp_path / f"{site}.npz", x=vectors, y=labels)
    document = kill_points.manifest(epochs=2, data={"train": {"format": "NumPy", "path": "{client}.npz"}})
    job, output = write_manifest(tmp_path, document), ("--output", "run", "--format", "json")
    result = pslgs_here("run", job, *output, cwd=tmp_path)
    assert result.returncode == 0, described(result, tmp_path / "run")
    told = json.loads(result.stdout)
    assert (told["folder"], told["exitCode"], told["summary"]["outcome"]) == ("run", 0, "finished")
    assert "run/model.safetensors" in told["files"]
    held = {client for _, client, _ in usage(tmp_path / "run")}
    assert held == {"berlin", "oslo", "rome"}
    assert len(usage(tmp_path / "run")) == 2 * 127


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="needs root to mount a small disk")
def test_a_full_disk_does_not_end_the_run(tmp_path):
    checkpoints = tmp_path / "run" / "checkpoints"
    checkpoints.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "none", str(checkpoints)], check=True)
    try:
        job = write_manifest(tmp_path, kill_points.manifest(epochs=2))
        result = pslgs_here("run", job, "--output", "run", cwd=tmp_path)
        assert result.returncode == 0, described(result, tmp_path / "run")
        saved = [record for record in records(tmp_path / "run") if isinstance(record, CheckpointRecord)]
        assert all("No space left" in (record.error or "") for record in saved)
        assert saved
        assert "could not be written" in result.stderr
    finally:
        subprocess.run(["umount", str(checkpoints)], check=True)


def test_a_damaged_checkpoint_is_skipped_with_a_warning(tmp_path):
    job, run = write_manifest(tmp_path, kill_points.manifest(epochs=3)), tmp_path / "run"
    assert pslgs_here("run", job, "--output", "run", cwd=tmp_path).returncode == 0
    newest = max(run.glob("checkpoints/step-*"))
    damaged = newest / "model.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    before = load_file(run / "model.safetensors")
    resumed = pslgs_here("run", job, "--output", "run", "--resume", cwd=tmp_path)
    assert resumed.returncode == 0, described(resumed, run)
    assert f"ignored a damaged checkpoint, {newest.relative_to(tmp_path)}" in resumed.stderr
    after = load_file(run / "model.safetensors")
    assert all(torch.equal(tensor, before[name]) for name, tensor in after.items())
