"""An exported file gives the outputs of the model; a file of another format or with others is refused."""

from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from inference.trained import SHAPE, Trained
from pslgs.cli.main import app
from pslgs.inference import export
from pslgs.inference.export import Run, export_model, module_of, part_inputs, runner
from pslgs.inference.formats import ExportFormat, Part, format_of
from pslgs.inference.trained_model import load_model, read_model
from pslgs.spec.errors import InputError

INPUTS = torch.rand(4, *SHAPE, generator=torch.Generator().manual_seed(0))
SAFETENSORS, ONNX, TORCHSCRIPT = ExportFormat.SAFETENSORS, ExportFormat.ONNX, ExportFormat.TORCHSCRIPT


def composed(trained: Trained, kind: ExportFormat, suffix: str) -> torch.Tensor:
    """Export both parts to files, and compute with one after the other."""
    stored, outputs = read_model(trained.run), (INPUTS[:3],)
    for part in (Part.CLIENT, Part.SERVER):
        file = trained.run / f"{part}{suffix}"
        assert export_model(stored, kind, part, file, INPUTS) <= 1e-4
        outputs = runner(stored, kind, part, file)(*outputs)
    return outputs[0]


def test_torchscript_gives_the_outputs_of_the_model(tmp_path: Path) -> None:
    trained = Trained(tmp_path).finish()
    file = tmp_path / "m.pt"
    assert export_model(read_model(tmp_path), TORCHSCRIPT, Part.WHOLE, file, INPUTS) <= 1e-4
    (outputs,) = runner(read_model(tmp_path), TORCHSCRIPT, Part.WHOLE, file)(INPUTS[:1])
    torch.testing.assert_close(outputs, trained.outputs(INPUTS[:1]))
    torch.testing.assert_close(composed(trained, TORCHSCRIPT, ".pt"), trained.outputs(INPUTS[:3]))


@pytest.mark.slow
def test_onnx_gives_the_outputs_of_the_model_for_batches_of_any_size(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    trained = Trained(tmp_path).finish()
    torch.testing.assert_close(
        composed(trained, ONNX, ".onnx"), trained.outputs(INPUTS[:3]), atol=1e-4, rtol=0
    )
    file = tmp_path / "whole.onnx"
    assert export_model(read_model(tmp_path), ONNX, Part.WHOLE, file, INPUTS) <= 1e-4
    (outputs,) = runner(read_model(tmp_path), ONNX, Part.WHOLE, file)(INPUTS[:1])
    torch.testing.assert_close(outputs, trained.outputs(INPUTS[:1]), atol=1e-4, rtol=0)


def test_the_whole_model_has_an_argument_of_its_own_for_its_input(tmp_path: Path) -> None:
    trained = Trained(tmp_path).finish()
    module = module_of(load_model(tmp_path), Part.WHOLE)
    assert [each.kind.name for each in signature(module.forward).parameters.values()] == [
        "POSITIONAL_OR_KEYWORD"
    ]
    assert torch.equal(module(INPUTS), trained.outputs(INPUTS))


def test_safetensors_are_a_model_again(tmp_path: Path) -> None:
    trained = Trained(tmp_path).save(3)
    file = tmp_path / "copy.safetensors"
    assert export_model(read_model(trained.run), SAFETENSORS, Part.WHOLE, file, INPUTS) == 0
    assert torch.equal(load_model(file)(INPUTS), trained.outputs(INPUTS))


def test_the_weights_of_a_part_are_those_of_its_layers(tmp_path: Path) -> None:
    Trained(tmp_path).finish()
    export_model(read_model(tmp_path), SAFETENSORS, Part.CLIENT, tmp_path / "client.safetensors", INPUTS)
    names = read_model(tmp_path / "client.safetensors").tensors.keys()
    assert {name.split(".")[0] for name in names} == {"conv1", "conv2"}


def test_a_file_with_other_outputs_is_refused_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Trained(tmp_path).finish()
    honest = export.runner

    def wrong(*arguments: Any) -> Run:
        run = honest(*arguments)
        return lambda *inputs: tuple(output + 1e-2 for output in run(*inputs))

    monkeypatch.setattr(export, "runner", wrong)
    with pytest.raises(InputError, match="outputs that differ by"):
        export_model(read_model(tmp_path), TORCHSCRIPT, Part.WHOLE, tmp_path / "m.pt", INPUTS)
    assert not (tmp_path / "m.pt").exists()


@pytest.mark.parametrize(
    ("output", "chosen", "expected"),
    [
        pytest.param(None, None, SAFETENSORS, id="nothing given"),
        pytest.param("a.onnx", None, ONNX, id="by suffix"),
        pytest.param("a.PT", TORCHSCRIPT, TORCHSCRIPT, id="both"),
        pytest.param("a.onnx", SAFETENSORS, None, id="suffix of another format"),
        pytest.param("a.bin", None, None, id="foreign suffix"),
        pytest.param("a", ONNX, None, id="no suffix"),
    ],
)
def test_the_suffix_must_be_that_of_the_format(
    output: str | None, chosen: ExportFormat | None, expected: ExportFormat | None
) -> None:
    path = None if output is None else Path(output)
    if expected is None:
        with pytest.raises(InputError, match=r"--output: is .*\.onnx for onnx"):
            format_of(path, chosen)
    else:
        assert format_of(path, chosen) is expected


def test_the_command_writes_the_last_checkpoint_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    trained = Trained(run).save(7)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["export", "run"])
    assert result.exit_code == 0, result.output
    assert "model.safetensors: the model after step 7" in result.stdout
    assert torch.equal(load_model(tmp_path / "model.safetensors")(INPUTS), trained.outputs(INPUTS))
    assert part_inputs(load_model(run), Part.CLIENT, INPUTS)[0] is INPUTS
