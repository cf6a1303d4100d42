"""Error reporting of the commands: one line for each error on stderr, and an exit code."""

import traceback
from typing import Any

import typer
from typer.core import TyperCommand

from pslgs.process.termination_message import ExitStatus
from pslgs.spec.errors import InputError
from pslgs.spec.exit_codes import ExitCode


class Command(TyperCommand):
    """A command that reports its exceptions on stderr, with tracebacks only after ``pslgs --debug``."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - typer keeps the base class of its contexts private
        """Run the command; any exception other than those of typer is reported and becomes an exit code."""
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, typer.TyperException, BrokenPipeError):
            raise
        except Exception as error:  # the outermost frame: users get a message whatever was raised
            if is_debugging(ctx):
                traceback.print_exception(error)
            raise typer.Exit(report_error(error)) from error


def is_debugging(context: Any) -> bool:  # noqa: ANN401 - as above
    """Return whether ``pslgs --debug`` was given, with which commands print the tracebacks of errors."""
    return bool(context.find_root().params.get("debug"))


def report_error(error: Exception) -> ExitCode:
    """Print an error on stderr, and return the exit code for it."""
    exit_code, message = exit_status_of(error)
    hint = " (pslgs --debug … shows the traceback)" if exit_code is ExitCode.INTERNAL_ERROR else ""
    for line in message.splitlines():
        typer.echo(f"error: {line}{hint}", err=True)
    return exit_code


def exit_status_of(error: Exception) -> ExitStatus:
    """Return exit code and message for an error; the message has a line for each violation of the input."""
    if isinstance(error, InputError):
        return ExitStatus(ExitCode.BAD_INPUT, str(error))
    details = " ".join(str(error).split())
    name = type(error).__name__
    return ExitStatus(ExitCode.INTERNAL_ERROR, f"{name}: {details}" if details else name)
