"""A new job starts from the weights of a run: its model, or those of its last checkpoint."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pslgs.cli.main import app
from pslgs.launch.run_folder import weights_of
from pslgs.spec import ExitCode, InputError


def written(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"weights")
    return file


def test_the_model_comes_before_the_last_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--from: is .* nor a checkpoint"):
        weights_of(tmp_path)
    with pytest.raises(InputError, match=r"--from: is '.*/none', which does not exist"):
        weights_of(tmp_path / "none")
    written(tmp_path / "checkpoints" / "step-00000005" / "model.safetensors")
    last = written(tmp_path / "checkpoints" / "step-00000010" / "model.safetensors")
    assert weights_of(tmp_path) == last
    model = written(tmp_path / "model.safetensors")
    assert weights_of(tmp_path) == model
    assert weights_of(last) == last


@pytest.mark.slow
def test_the_command_takes_the_weights_of_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = Path(__file__).resolve().parents[2] / "examples" / "digits.yaml"
    written(tmp_path / "old" / "model.safetensors")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(
        app, ["run", str(manifest), "--from", "old", "--set", "spec.model.initialWeights.except=[output]"]
    )
    assert result.exit_code == ExitCode.BAD_INPUT
    file = tmp_path / "old" / "model.safetensors"
    assert f"spec.model.initialWeights.path: '{file}' is neither a safetensors nor" in result.stderr
