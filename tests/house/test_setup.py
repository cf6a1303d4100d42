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
    ("status", "counts"), [(0, "3 passed"), (2, "1 failed, 2 passed")], ids=["green", "red"]
)
def test_the_ci_ends_with_the_closing_line_of_the_tests_and_the_status_of_make(
    status: int, counts: str, root: Path, tmp_path: Path
) -> None:
    closing = f"====== {counts} in 75.01s (0:01:15) ======"
    program(tmp_path / "bin" / "make", f"echo called: $*; echo '{closing}'; echo 'make: done'; exit {status}")
    (tmp_path / ".ci").mkdir()
    run = shutil.copy(root / ".ci" / "run", tmp_path / ".ci")
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    ended = subprocess.run(
        [run], env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    lines = ended.stdout.splitlines()
    assert lines[0].startswith("called: ")
    assert lines[0].split()[-3:] == ["lint", "verify", "test"]
    assert lines[-1] == closing
    assert ended.returncode == status
