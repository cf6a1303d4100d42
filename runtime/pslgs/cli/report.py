"""``pslgs report``: write the HTML report of a run."""

from pathlib import Path
from typing import Annotated

import typer

from pslgs.cli.options import RunArgument


def report(
    run: RunArgument,
    output: Annotated[
        Path | None, typer.Option(help="File to write; default: report.html in the run's folder.")
    ] = None,
) -> None:
    """Write the report of a run, finished or not, as one self-contained HTML file."""
    from pslgs.reporting.page import write_report

    target = output or run / "report.html"
    write_report(run, target)
    typer.echo(str(target))
