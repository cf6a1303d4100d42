"""Export of trained models to safetensors, ONNX and TorchScript, each compared with the model itself."""

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.fx import Graph, GraphModule

from pslgs.inference.formats import ExportFormat, Part
from pslgs.inference.trained_model import StoredModel, TrainedModel, read_model
from pslgs.model_inputs import Inputs, call, tensors_of
from pslgs.spec.errors import InputError
from pslgs.splitting.weights_file import save_weights

LARGEST_DIFFERENCE: Final = 1e-4
"""Largest difference between the outputs of a model and its export, relative to outputs above 1."""

SAMPLES: Final = "samples"
"""Name of the input of a model with a single one, in exported files."""

_jit: Any = torch.jit  # its functions have no annotations

Run = Callable[..., tuple[Tensor, ...]]
"""Maps the inputs of a part to its outputs."""


def export_model(stored: StoredModel, kind: ExportFormat, part: Part, output: Path, samples: Inputs) -> float:
    """Write a model, or a part of it, and compare the file with the model.

    Args:
        stored: The model.
        kind: Format of the file.
        part: Part to write.
        output: File to write.
        samples: Inputs of the whole model to compare with, at least 2 samples.

    Returns:
        The largest difference of an output.

    Raises:
        InputError: the format needs a package that is not installed, the model cannot be exported, or the
            file gives other outputs; it is removed then.
        OSError: the file cannot be written.
    """
    model = stored.build()
    inputs = part_inputs(model, part, samples)
    _write(stored, model, kind, part, output, inputs)
    difference = _difference(_runner_of(part, model), runner(stored, kind, part, output), inputs)
    if not difference <= LARGEST_DIFFERENCE:
        output.unlink()
        raise InputError.at(
            "",
            f"the {kind} file gives outputs that differ by {difference:.2g} from the model's; it was removed",
        )
    return difference


@torch.no_grad()
def part_inputs(model: TrainedModel, part: Part, samples: Inputs) -> tuple[Tensor, ...]:
    """Return the inputs of a part that belong to ``samples``; several ones in their order."""
    if part is not Part.SERVER:
        return tensors_of(samples)
    smashed = call(model.client_part, samples)
    return (smashed,) if isinstance(smashed, Tensor) else tuple(smashed)


def module_of(model: TrainedModel, part: Part) -> nn.Module:
    """Return the module of a part, whose forward has an argument for each tensor that it takes."""
    if part is Part.SERVER:
        return model.server_part
    module = model if part is Part.WHOLE else model.client_part
    names = model.description.input_names
    return module if part is Part.CLIENT and not names else _with_arguments(module, names)


def _with_arguments(module: nn.Module, names: Sequence[str]) -> nn.Module:
    """Return a module whose forward has an argument for each input, or for the only one without names.

    A trace takes the names of inputs from there, and an export to ONNX cannot use ``*samples``.
    """
    graph = Graph()
    given: dict[str, Any] = {name: graph.placeholder(name) for name in names or (SAMPLES,)}
    called = graph.call_module("model", (), given) if names else graph.call_module("model", (given[SAMPLES],))
    graph.output(called)
    return GraphModule({"model": module}, graph)


def runner(stored: StoredModel, kind: ExportFormat, part: Part, file: Path) -> Run:
    """Load an exported file; return a function that computes with it."""
    match kind:
        case ExportFormat.SAFETENSORS:
            if part is Part.WHOLE:
                return _runner_of(part, read_model(file).build())
            return _runner_of(part, stored.build())
        case ExportFormat.TORCHSCRIPT:
            with _without_deprecations():
                loaded = _jit.load(file)
            return lambda *inputs: _as_tuple(loaded(*inputs))
        case ExportFormat.ONNX:
            session = _onnxruntime().InferenceSession(str(file), providers=["CPUExecutionProvider"])
            names = [each.name for each in session.get_inputs()]

            def run(*inputs: Tensor) -> tuple[Tensor, ...]:
                given = {name: tensor.numpy(force=True) for name, tensor in zip(names, inputs, strict=True)}
                return tuple(torch.from_numpy(each) for each in session.run(None, given))

            return run


def _write(  # noqa: PLR0913, PLR0917 - all that a file is made of
    stored: StoredModel,
    model: TrainedModel,
    kind: ExportFormat,
    part: Part,
    output: Path,
    inputs: tuple[Tensor, ...],
) -> None:
    metadata = stored.description.to_metadata()
    module = module_of(model, part)
    match kind:
        case ExportFormat.SAFETENSORS:
            save_weights(_tensors_of(stored, model, part), output, {**metadata, "part": part})
        case ExportFormat.TORCHSCRIPT:
            with _without_deprecations(), torch.no_grad():
                _jit.trace(module, inputs, check_trace=False).save(str(output))
        case ExportFormat.ONNX:
            names = () if part is Part.SERVER else stored.description.input_names
            _write_onnx(module, output, inputs, metadata, names)


def _tensors_of(stored: StoredModel, model: TrainedModel, part: Part) -> dict[str, Tensor]:
    """Return the tensors of a part by their original names."""
    if part is Part.WHOLE:
        return dict(stored.tensors)
    own = (model.client_part if part is Part.CLIENT else model.server_part).state_dict()
    prefixes = ("", f"{part}.")
    return {
        name: tensor
        for name, tensor in stored.tensors.items()
        if any(name.removeprefix(p) in own for p in prefixes)
    }


def _write_onnx(
    module: nn.Module,
    output: Path,
    inputs: tuple[Tensor, ...],
    metadata: dict[str, str],
    input_names: Sequence[str],
) -> None:
    _onnxruntime()
    batch = torch.export.Dim("batch", min=1)
    several = [SAMPLES] if len(inputs) == 1 else [f"smashed{number}" for number in range(len(inputs))]
    names = list(input_names) or several
    try:
        with _without_deprecations(), torch.no_grad():
            program: Any = torch.onnx.export(
                module,
                inputs,
                dynamo=True,
                verbose=False,
                input_names=names,
                dynamic_shapes=tuple({0: batch} for _ in inputs),
            )
    except ImportError as error:
        raise _missing(str(error.name or "onnxscript")) from error
    except (RuntimeError, ValueError, TypeError) as error:
        reason = str(error.__cause__ or error).strip().split("\n", maxsplit=1)[0]
        raise InputError.at(
            "--format", f"is onnx, to which this model cannot be converted ({reason}); take torchscript"
        ) from error
    program.model.metadata_props.update(metadata)
    program.save(output)


@torch.no_grad()
def _difference(one: Run, other: Run, inputs: tuple[Tensor, ...]) -> float:
    """Return the largest difference of outputs, for several samples and for a single one."""
    found = [0.0]
    for rows in (slice(None), slice(0, 1)):
        given = tuple(tensor[rows] for tensor in inputs)
        for ours, theirs in zip(one(*given), other(*given), strict=True):
            scale = ours.abs().clamp(min=1)
            found.append(((ours - theirs).abs() / scale).max().item() if ours.numel() else 0.0)
    return max(found, key=lambda each: (each != each, each))  # noqa: PLR0124 - NaN is the largest


def _runner_of(part: Part, model: TrainedModel) -> Run:
    module = module_of(model, part)
    return lambda *inputs: _as_tuple(module(*inputs))


def _as_tuple(outputs: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)


def _onnxruntime() -> Any:  # noqa: ANN401 - a module
    try:
        import onnxruntime  # noqa: PLC0415 - an optional extra
        import onnxscript  # noqa: F401, PLC0415 - torch.onnx needs it
    except ImportError as error:
        raise _missing(str(error.name)) from error
    return onnxruntime


def _missing(package: str) -> InputError:
    return InputError.at(
        "--format", f"is onnx, which needs the package {package}; install it with: pip install 'pslgs[onnx]'"
    )


@contextmanager
def _without_deprecations() -> Iterator[None]:
    """Silence torch on its plans for the future, and the converter's report of its own progress."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
