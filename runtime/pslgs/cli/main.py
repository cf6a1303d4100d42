"""The entry point of ``pslgs``.

A new command needs two lines here: the import of its module and its ``app.command``.  Commands import slow
modules, such as torch, in their functions, so that ``pslgs --help`` stays fast.
"""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from pslgs.cli.check import check
from pslgs.cli.client import client
from pslgs.cli.compare import compare
from pslgs.cli.errors import Command
from pslgs.cli.export import export
from pslgs.cli.init import init
from pslgs.cli.logs import logs
from pslgs.cli.model import model
from pslgs.cli.plan import plan
from pslgs.cli.predict import predict
from pslgs.cli.report import report
from pslgs.cli.run import run
from pslgs.cli.server import server
from pslgs.cli.simulate import simulate
from pslgs.cli.status import status
from pslgs.cli.validate import validate

app = typer.Typer(
    name="pslgs",
    help="Parallel split learning with global sampling: train one network over data that stays where it is.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("init", cls=Command)(init)
app.command("run", cls=Command)(run)
app.command("simulate", cls=Command)(simulate)
app.command("compare", cls=Command)(compare)
app.command("validate", cls=Command)(validate)
app.command("check", cls=Command)(check)
app.command("plan", cls=Command)(plan)
app.command("report", cls=Command)(report)
app.command("predict", cls=Command)(predict)
app.command("export", cls=Command)(export)
app.command("status", cls=Command)(status)
app.command("logs", cls=Command)(logs)
app.command("model", cls=Command)(model)
app.command("server", cls=Command)(server)
app.command("client", cls=Command)(client)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it with the option's value
    if wanted:
        typer.echo(f"pslgs {version('pslgs')}")
        raise typer.Exit


@app.callback()
def options(
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Print the tracebacks of errors.")] = False,
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Global options, written before the command's name."""


def main() -> None:
    """Run the command that ``sys.argv`` names, and exit with an `ExitCode`."""
    # A manifest may name a package.module:function of the working folder.
    sys.path.insert(0, str(Path.cwd()))
    app()
