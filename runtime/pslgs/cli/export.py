"""``pslgs export``: write the trained model, or a part of it, in one of several formats."""

from pathlib import Path
from typing import Annotated

import typer

from pslgs.cli.options import CacheOption, RunArgument, WhichModel, WhichOption
from pslgs.inference.formats import SUFFIXES, ExportFormat, Part, format_of
from pslgs.process.machine import DATASET_CACHE


def export(  # noqa: PLR0913, PLR0917 - the options of a command
    run: RunArgument,
    output: Annotated[
        Path | None, typer.Option(help="File to write; default: model.safetensors, model.onnx or model.pt.")
    ] = None,
    output_format: Annotated[
        ExportFormat | None,
        typer.Option("--format", help="Format; default: that of the suffix of --output, or safetensors."),
    ] = None,
    part: Annotated[
        Part, typer.Option(help="Part to write: whole, client (up to the cut layer) or server (the rest).")
    ] = Part.WHOLE,
    which: WhichOption = WhichModel.FINAL,
    cache: CacheOption = DATASET_CACHE,
) -> None:
    """Write the model of a run, check the file against the model, and against the run's evaluation."""
    from pslgs.launch.export_run import export_run

    kind = format_of(output, output_format)
    target = output or Path(f"model{SUFFIXES[kind][0]}")
    done = export_run(run, which, kind, part, target, cache.expanduser())
    step = "" if done.step is None else f" after step {done.step}"
    named = "the model" if part is Part.WHOLE else f"the {part} part of the model"
    typer.echo(f"{done.file}: {named}{step}, from {done.place}")
    typer.echo(f"  outputs differ from the model's by at most {done.difference:.1e}")
    if done.accuracy is not None:
        recorded = "" if done.recorded is None else f" (recorded by the run: {done.recorded:.1%})"
        typer.echo(f"  accuracy on {done.samples:,} evaluation samples: {done.accuracy:.1%}{recorded}")
