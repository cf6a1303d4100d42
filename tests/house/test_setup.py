import os
import shutil
import subprocess
from pathlib import Path

import pytest


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("script", "advice"),
    [
        pytest.param("exit 1", "No Python 3.11 or newer found", id="too-old"),
        pytest.param('case "$2" in *ensurepip*) exit 1;; esac', "apt-get install python3-venv", id="no-venv"),
    ],
)
def test_an_unfit_python_is_refused_with_advice(script: str, advice: str, root: Path, tmp_path: Path) -> None:
    (tmp_path / "requirements").mkdir()
    install = shutil.copy(root / "requirements" / "install", tmp_path / "requirements")
    python = program(tmp_path / "bin" / "python3", script)
    ended = subprocess.run(
        [install], env={**os.environ, "PYTHON": str(python)}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert advice in ended.stderr
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize(
    ("index", "said", "unsaid"),
    [
        pytest.param("", "3.3 GB to download, 6 GB on disk", "come from", id="default-index"),
        pytest.param(
            "https://host.example/cpu", "come from https://host.example/cpu", "6 GB", id="own-index"
        ),
    ],
)
def test_what_is_fetched_is_said_before(
    index: str, said: str, unsaid: str, root: Path, tmp_path: Path
) -> None:
    shutil.copytree(root / "requirements", tmp_path / "requirements")
    program(tmp_path / ".venv" / "bin" / "python", "exit 0")
    program(tmp_path / ".venv" / "bin" / "uv", "echo fetching")
    program(tmp_path / "bin" / "uname", "echo Linux")
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    environ = {**os.environ, "PATH": path, "TORCH_INDEX": index}
    install = [tmp_path / "requirements" / "install"]
    ended = subprocess.run(install, env=environ, capture_output=True, text=True, check=True)
    announced, _, _ = ended.stdout.partition("fetching")
    assert said in announced
    assert unsaid not in ended.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "runs", "closing"),
    [
        pytest.param(0, ["3 passed in 5.00s"], "3 passed in 5.00s", id="one-run"),
        pytest.param(
            *(0, ["3 passed, 1 skipped in 75.01s (0:01:15)", "2 passed, 9 deselected in 5.20s"]),
            "5 passed, 1 skipped, 9 deselected in 80.21s",
            id="two-runs",
        ),
        pytest.param(
            *(2, ["1 failed, 2 passed, 2 errors in 75.01s (0:01:15)", "4 passed in 5.00s"]),
            "1 failed, 2 error, 6 passed in 80.01s",
            id="a-failure-in-the-first",
        ),
        pytest.param(2, ["no tests ran in 0.01s"], None, id="no-test"),
        pytest.param(2, [], None, id="no-run"),
    ],
)
def test_the_ci_ends_with_the_sum_of_all_test_runs_and_the_status_of_make(
    status: int, runs: list[str], closing: str | None, root: Path, tmp_path: Path
) -> None:
    printed = "".join(f"echo '====== {run} ======'; " for run in runs)
    program(tmp_path / "bin" / "make", f"echo called: $*; {printed} echo 'make: done'; exit {status}")
    program(tmp_path / "bin" / "go", "exit 1")
    (tmp_path / ".ci").mkdir()
    run = shutil.copy(root / ".ci" / "run", tmp_path / ".ci")
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    ended = subprocess.run(
        [run], env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    lines = ended.stdout.splitlines()
    assert lines[0] == "called: --keep-going cluster lint verify test e2e-smoke"
    assert lines[-1] == (f"====== {closing} ======" if closing else "No test was run.")
    assert ended.returncode == status
