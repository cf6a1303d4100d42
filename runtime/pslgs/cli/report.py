"""``pslgs report``: the report of a run, finished or not."""

from pathlib import Path
from typing import Annotated

import typer

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.")]


def report(
    run: RunArgument,
    output: Annotated[
        Path | None, typer.Option(help="File to write; report.html in the run's folder.")
    ] = None,
) -> None:
    """Write a run's report, one HTML file that needs nothing else."""
    from pslgs.reporting.page import write_report

    target = output or run / "report.html"
    write_report(run, target)
    typer.echo(str(target))
