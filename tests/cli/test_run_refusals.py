"""`pslgs run` refuses bad input with the field's path and exit code 2, before it starts a process."""

import errno
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from pslgs.cli.main import app
from pslgs.launch.run_folder import prepare_folder
from pslgs.server.run_owner import only_server
from pslgs.spec import ExitCode, load_job
from pslgs.spec.definition import training_definition
from pslgs.training.checkpoint import CheckpointStore

DIGITS = Path(__file__).parents[2] / "examples" / "digits.yaml"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(DIGITS, "job.yaml")
    np.savez("few.npz", x=np.zeros((5, 64), np.float32), y=np.arange(5))
    np.savez("high.npz", x=np.zeros((300, 64), np.float32), y=np.arange(300) % 12)
    np.savez("none.npz", x=np.zeros((0, 64), np.float32), y=np.zeros(0, np.int64))
    np.savez("wide.npz", x=np.zeros((300, 65), np.float32), y=np.arange(300) % 10)
    Path("corrupt.npz").write_bytes(b"PK\x03\x04 no archive")
    Path("untraceable.py").write_text(
        "from torch import nn\n"
        "class Branching(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.first, self.last = nn.Linear(64, 8), nn.Linear(8, 10)\n"
        "    def forward(self, x):\n"
        "        x = self.first(x)\n"
        "        return self.last(x) if x.sum() > 0 else self.last(-x)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def numpy_data(path: str) -> list[str]:
    train = yaml.safe_dump({"format": "NumPy", "path": path}, default_flow_style=True, width=500).strip()
    return [f"spec.data.train={train}", "spec.data.evaluation=", "spec.data.partition="]


REFUSALS = {
    "unknown field": (["spec.optimizer.learningrate=1"], "spec.optimizer.learningrate", "learningRate"),
    "wrong type": (["spec.epochs=many"], "spec.epochs", "integer"),
    "unknown architecture": (["spec.model.architecture=resnet81"], "spec.model.architecture", "resnet18"),
    "unknown cut layer": (["spec.model.cutLayer=hiden1"], "spec.model.cutLayer", "hidden1"),
    "cut at the last layer": (["spec.model.cutLayer=output"], "spec.model.cutLayer", "earlier layer"),
    "untraceable cut": (
        ["spec.model.architecture=untraceable:Branching", "spec.model.options=", "spec.model.cutLayer=first"],
        "spec.model.cutLayer",
        "package.module:function",
    ),
    "missing file": (numpy_data("nowhere.npz"), "spec.data.train.path", "nowhere.npz"),
    "empty data": (numpy_data("none.npz"), "spec.data.train", "no samples"),
    "corrupt file": (numpy_data("corrupt.npz"), "spec.data.train.path", "corrupt.npz"),
    "labels beyond the outputs": (numpy_data("high.npz"), "spec.data.train", "label 11"),
    "samples of another shape": (numpy_data("wide.npz"), "spec.", "65"),
    "batch larger than the data": (numpy_data("few.npz"), "spec.sampling.globalBatchSize", "5 samples"),
    "no data for a client": (
        numpy_data("{client}.csv"),
        "spec.data.train.path",
        "there are no data at {client}.csv here",
    ),
    "baseline of simulations": (
        ["spec.sampling.strategy=FederatedAveraging"],
        "spec.sampling.strategy",
        "Global",
    ),
    "unknown dataset": (["spec.data.train.name=digit"], "spec.data.train.name", "digits"),
    "no initial weights": (
        ["spec.model.initialWeights=w.safetensors"],
        "spec.model.initialWeights",
        "w.safetensors",
    ),
}


def invoke(*arguments: str):
    return CliRunner().invoke(app, ["run", "job.yaml", *arguments])


@pytest.mark.parametrize(
    ("overrides", "path", "words"),
    [
        pytest.param(*given, id=name, marks=[pytest.mark.slow] * (name == "unknown architecture"))
        for name, given in REFUSALS.items()
    ],
)
def test_a_bad_input_is_refused_before_anything_starts(folder, overrides, path, words):
    result = invoke(*(argument for override in overrides for argument in ("--set", override)))
    assert result.exit_code == ExitCode.BAD_INPUT, result.output
    assert f"error: {path}" in result.stderr
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert not (folder / "runs").exists()


def test_several_clients_with_the_same_samples_are_refused(folder):
    overrides = [argument for each in numpy_data("high.npz") for argument in ("--set", each)]
    result = invoke("--clients", "3", *overrides)
    assert result.exit_code == ExitCode.BAD_INPUT
    assert "error: spec.data: gives each of the 3 clients the same samples" in result.stderr


def test_zero_clients_are_refused(folder):
    assert invoke("--clients", "0").exit_code == ExitCode.BAD_INPUT


def test_a_port_in_use_is_refused(folder):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = invoke("--metrics-port", str(taken.getsockname()[1]))
    assert result.exit_code == ExitCode.BAD_INPUT
    assert "error: --metrics-port: port" in result.stderr


def test_a_folder_with_a_run_is_not_overwritten(folder):
    (folder / "old").mkdir()
    (folder / "old" / "job.yaml").touch()
    result = invoke("--output", "old")
    assert result.exit_code == ExitCode.BAD_INPUT
    assert "--resume" in result.stderr


def test_a_resume_with_another_training_is_refused_and_leaves_the_folder_unchanged(folder):
    run = folder / "old"
    run.mkdir()
    (run / "job.yaml").write_text("as it was")
    spec = load_job(Path("job.yaml"), ()).spec
    begun = {"coordinator": {"epoch": {"epoch": 3, "offsets": {"client-0": 1}}}}
    state = {"definition": training_definition(spec)} | begun
    CheckpointStore(run / "checkpoints", keep=1).save(9, {}, state)

    changes = ("spec.optimizer.momentum=0.5", "spec.sampling.seed=7", "spec.epochs=2")
    overrides = [argument for change in changes for argument in ("--set", change)]
    result = invoke("--resume", "--output", "old", *overrides)

    assert result.exit_code == ExitCode.BAD_INPUT, result.output
    for words in (
        "error: spec.optimizer.momentum: was 0.9 when training started and is now 0.5; ",
        "error: spec.sampling.seed: was 0 when training started and is now 7; ",
        "error: spec.epochs: is 2, but 3 epochs have been trained or begun (step 9)",
    ):
        assert words in result.stderr
    assert (run / "job.yaml").read_text() == "as it was"
    assert not (run / "machine.json").exists()


def test_a_run_whose_server_still_writes_is_not_resumed(folder):
    run = folder / "old"
    run.mkdir()
    (run / "job.yaml").write_text("as it was")
    with only_server(run):
        result = invoke("--resume", "--output", "old")
    assert result.exit_code == ExitCode.BAD_INPUT
    assert "error: --resume: another server trains in 'old'" in result.stderr
    assert (run / "job.yaml").read_text() == "as it was"


def test_a_resume_without_a_run_is_refused(folder):
    result = invoke("--output", "nothing", "--resume")
    assert result.exit_code == ExitCode.BAD_INPUT
    assert "there is no run in nothing" in result.stderr


def test_a_manifest_that_cannot_be_written_leaves_that_of_the_run(folder, monkeypatch):
    prepare_folder(folder / "run", {"of": "the run"}, 3)
    before = (folder / "run" / "job.yaml").read_text()

    def full(path: Path, text: str, **_: object) -> int:
        path.write_bytes(b"{")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        prepare_folder(folder / "run", {"of": "another"}, 3)
    assert (folder / "run" / "job.yaml").read_text() == before
