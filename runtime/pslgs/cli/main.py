"""The entry point of ``pslgs``.

A new command needs two lines here, the import of its module and its entry in the table, and its help in
`pslgs.cli.help_texts`.  Commands import slow modules, such as torch, in their functions, so that
``pslgs --help`` stays fast.
"""

import os
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Final

import typer

from pslgs.cli.check import check
from pslgs.cli.client import client
from pslgs.cli.compare import compare
from pslgs.cli.errors import Command
from pslgs.cli.export import export
from pslgs.cli.help_texts import HELP_TEXTS
from pslgs.cli.identities import identities
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
_COMMANDS: Final[Mapping[str, Callable[..., None]]] = {
    "init": init,
    "validate": validate,
    "check": check,
    "plan": plan,
    "run": run,
    "simulate": simulate,
    "compare": compare,
    "report": report,
    "predict": predict,
    "export": export,
    "status": status,
    "logs": logs,
    "model": model,
    "identities": identities,
    "server": server,
    "client": client,
}
"""The commands in the order in which ``pslgs --help`` lists them."""

for _name, _command in _COMMANDS.items():
    _texts = HELP_TEXTS[_name]
    app.command(_name, cls=Command, short_help=_texts.summary, epilog=_texts.epilog)(_command)


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


_command_line: Final = typer.main.get_command(app)
"""Made here, so that processes which are forked need not make it."""


def main() -> None:
    """Run the command that ``sys.argv`` names, and exit with an `ExitCode`."""
    # gRPC, which reads this when it is imported, would log each connection that a peer closes and each failed
    # handshake, so that strangers could fill the log; the transport logs what matters.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    # A manifest may name a package.module:function of the working folder.
    sys.path.insert(0, str(Path.cwd()))
    _command_line()
