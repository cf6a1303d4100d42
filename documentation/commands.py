"""The reference of the commands: what ``--help`` prints of each."""

from collections.abc import Iterator, Mapping
from typing import Final

from typer import Typer
from typer.testing import CliRunner

_WIDTH: Final = "100"
_HEADER: Final = """# Commands

<!-- Generated from the code by `make generate`; change it there. -->

All commands end with one of the [exit codes](exit-codes.md). An error is one line on stderr that names the
field of the manifest, what is wrong and what to do; `pslgs --debug COMMAND …` prints the traceback as well.
`pslgs server` and `pslgs client` are what the containers run.
"""


class HelpError(Exception):
    """A command cannot print its help."""


def as_markdown(app: Typer) -> str:
    """Write a section for each command, in the order of the program's own help.

    Raises:
        HelpError: a command fails when it is asked for its help.
    """
    own = _help(app)
    sections = [f"## pslgs\n\n{_fenced(own)}"]
    sections += [f"## pslgs {name}\n\n{_fenced(_help(app, name))}" for name in _names(app)]
    return "\n".join([_HEADER, *sections])


def _names(app: Typer) -> Iterator[str]:
    return (command.name or "" for command in app.registered_commands if not command.hidden)


def _help(app: Typer, *command: str) -> str:
    environ: Mapping[str, str] = {
        "COLUMNS": _WIDTH,
        "TERMINAL_WIDTH": _WIDTH,
        "NO_COLOR": "1",
        "HOME": "/home/user",
    }
    result = CliRunner().invoke(app, [*command, "--help"], prog_name="pslgs", env=environ)
    if result.exit_code:
        raise HelpError(f"pslgs {' '.join(command)} --help: {result.output}")
    return result.output


def _fenced(text: str) -> str:
    lines = (line.rstrip() for line in text.strip().splitlines())
    return "```text\n" + "\n".join(lines) + "\n```\n"
