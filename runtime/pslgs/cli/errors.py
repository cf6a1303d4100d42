"""How a command that fails tells it: one line for each thing wrong, and an exit code."""

import traceback
from typing import Any

import typer
from typer.core import TyperCommand

from pslgs.process.termination_message import Ending
from pslgs.spec.errors import InputError
from pslgs.spec.exit_codes import ExitCode


class Command(TyperCommand):
    """A command whose exceptions become lines on stderr, with their tracebacks after ``pslgs --debug``."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - typer keeps the base class of its contexts private
        """Run the command; this is the outermost frame, so a user gets a sentence for any exception."""
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, typer.TyperException, BrokenPipeError):
            raise
        except Exception as error:
            if ctx.find_root().params.get("debug"):
                traceback.print_exception(error)
            raise typer.Exit(told(error)) from error


def told(error: Exception) -> ExitCode:
    """Print on stderr what went wrong, and choose the exit code for it."""
    exit_code, sentences = ending_of(error)
    for sentence in sentences.splitlines():
        hint = " (pslgs --debug … shows the traceback)" if exit_code is ExitCode.INTERNAL_ERROR else ""
        typer.echo(f"error: {sentence}{hint}", err=True)
    return exit_code


def ending_of(error: Exception) -> Ending:
    """Say in a sentence what went wrong, or in one line for each thing wrong with the input."""
    if isinstance(error, InputError):
        return Ending(ExitCode.BAD_INPUT, str(error))
    what = " ".join(str(error).split())
    sentence = f"{type(error).__name__}: {what}" if what else type(error).__name__
    return Ending(ExitCode.INTERNAL_ERROR, sentence)
