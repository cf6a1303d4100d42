"""``pslgs export``: write the trained model under its original parameter names."""

from pathlib import Path
from typing import Annotated

import typer

from pslgs.cli.options import RunArgument
from pslgs.spec import InputError


def export(
    run: RunArgument,
    output: Annotated[Path, typer.Option(help="File to write.")] = Path("model.safetensors"),
) -> None:
    """Write the model of a run's latest checkpoint as a safetensors file."""
    from pslgs.splitting.split_network import save_weights
    from pslgs.training.checkpoint import CheckpointStore

    checkpoint = CheckpointStore(run / "checkpoints", keep=1).load_latest()
    if checkpoint is None:
        raise InputError.at("", f"{run} has no checkpoint yet; name the folder of a run that has one")
    save_weights(checkpoint.tensors["model"], output)
    typer.echo(f"{output}: the model after step {checkpoint.step}")
