"""The arguments that name a manifest, the same for all commands that read one."""

from pathlib import Path
from typing import Annotated

import typer

JobArgument = Annotated[Path, typer.Argument(metavar="JOB.YAML", help="The manifest, a SplitTrainingJob.")]

SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Set a field, e.g. spec.epochs=3; can be repeated."),
]
