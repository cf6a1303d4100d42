"""``pslgs export``: the model of a run, whole and under its original parameter names."""

from pathlib import Path
from typing import Annotated

import typer

from pslgs.cli.report import RunArgument
from pslgs.spec import InputError


def export(
    run: RunArgument,
    output: Annotated[Path | None, typer.Option(help="File to write; model.safetensors here.")] = None,
) -> None:
    """Write the model of a run, or of its last checkpoint if the run has not ended, as safetensors."""
    from pslgs.splitting.split_network import save_weights
    from pslgs.training.checkpoint import CheckpointStore

    checkpoint = CheckpointStore(run / "checkpoints", keep=1).load_latest()
    if checkpoint is None:
        raise InputError.at("", f"{run} has no checkpoint yet; name the folder of a run that has reached one")
    target = output or Path("model.safetensors")
    save_weights(checkpoint.tensors["model"], target)
    typer.echo(f"{target}: the model after step {checkpoint.step}")
