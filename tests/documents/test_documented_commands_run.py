"""The commands of README.md and the tutorials that need no cluster do what is written: each one is run."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from documents.shell import ROOT, Command, blocks, commands
from local_runs.runs import pslgs_here

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

OF_A_CLUSTER = {"docker", "helm", "k3d", "kind", "kubectl"}
TUTORIALS = ROOT / "docs" / "tutorials"
RUN_BY_MAKE = "pslgs run examples/digits.yaml"
Run = Callable[[Command, Path], None]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the first run needs of the repository."""
    folder = tmp_path_factory.mktemp("checkout")
    (folder / "examples").symlink_to(ROOT / "examples")
    return folder


@pytest.fixture(scope="module")
def run() -> Run:
    """Runs a command once in a folder, however many documents give it."""
    done = set()

    def run_once(command: Command, folder: Path) -> None:
        words = _named(command)
        if words and words[0] not in OF_A_CLUSTER and (command.text, folder) not in done:
            done.add((command.text, folder))
            _run(command, words, folder)

    return run_once


def _named(command: Command) -> list[str]:
    """The words of a command as it runs in the environment, without what only activates that."""
    if command.words[:1] == ["make"]:
        return _made(command.words)
    if command.words[0] == "source":
        assert command.words == ["source", ".venv/bin/activate"]
        return []
    return [command.words[0].removeprefix(".venv/bin/"), *command.words[1:]]


def _made(words: list[str]) -> list[str]:
    """What ``make`` would run, which must be a run of the digits."""
    arguments = ["make", "--dry-run", "--no-print-directory", "--old-file=.venv/.installed", *words[1:]]
    outer = {"ARGS", "MAKEFLAGS", "MAKELEVEL"}
    environ = {name: value for name, value in os.environ.items() if name not in outer}
    printed = subprocess.run(
        arguments, cwd=ROOT, env=environ, capture_output=True, text=True, check=True
    ).stdout
    line = printed.strip().removeprefix(".venv/bin/")
    assert line == RUN_BY_MAKE
    return line.split()


def _run(command: Command, words: list[str], folder: Path) -> None:
    if words[0] == "pslgs":
        result = pslgs_here(*words[1:], cwd=folder)
    else:
        environ = {"PATH": f"{Path(sys.executable).parent}:{os.defpath}", "HOME": str(folder)}
        result = subprocess.run(
            ["bash", "-euc", command.text],
            cwd=folder,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
    assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"


def run_all(page: Path, folder: Path, run: Run) -> None:
    for command in commands(page):
        run(command, folder)


def test_the_first_run_works(checkout: Path, run: Run) -> None:
    run_all(ROOT / "README.md", checkout, run)
    run_all(TUTORIALS / "first-run.md", checkout, run)
    run_folder = checkout / "runs" / "digits"
    described = {
        "report.html",
        "model.safetensors",
        "best.safetensors",
        "metrics.jsonl",
        "checkpoints",
        "logs",
    }
    assert described <= {path.name for path in run_folder.iterdir()}


def test_a_network_of_ones_own_is_trained_on_tables(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    run_all(TUTORIALS / "own-table.md", tmp_path, run)
    assert (tmp_path / "west.csv").read_text().count("\n") == 51
    monkeypatch.chdir(tmp_path)
    (program,) = blocks(TUTORIALS / "own-table.md", "python")
    exec(compile(program, "own-table.md", "exec"), {})  # noqa: S102 - a document of ours
    assert "('low', 'high')" in capsys.readouterr().out


def test_images_of_ones_own_are_trained_on(tmp_path: Path, run: Run) -> None:
    run_all(TUTORIALS / "own-images.md", tmp_path, run)
    assert (tmp_path / "shapes.pt").stat().st_size
    assert shutil.which("pslgs", path=str(Path(sys.executable).parent))
