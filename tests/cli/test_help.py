"""``--help``: examples that can be typed, lines that fit a narrow terminal, and completion."""

import os
import shlex
import subprocess
import sys

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from pslgs.cli.help_texts import HELP_TEXTS
from pslgs.cli.main import app

NARROW = 60
COMMANDS = [command.name for command in app.registered_commands]
PROGRAM = get_command(app)
EXAMPLES = [(name, command) for name, text in HELP_TEXTS.items() for _, command in text.examples]


def test_every_command_has_examples() -> None:
    assert list(COMMANDS) == [name for name in COMMANDS if HELP_TEXTS[name].examples]
    assert HELP_TEXTS.keys() == set(COMMANDS)


@pytest.mark.parametrize(("name", "line"), EXAMPLES, ids=[line for _, line in EXAMPLES])
def test_an_example_is_a_valid_command_line(name: str, line: str) -> None:
    program, command, *arguments = shlex.split(line)
    assert (program, command) == ("pslgs", name)
    with PROGRAM.commands[name].make_context(name, arguments):  # type: ignore[attr-defined]
        pass


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_are_printed_as_they_are(name: str) -> None:
    printed = CliRunner().invoke(app, [name, "--help"], terminal_width=NARROW)
    assert printed.exit_code == 0
    for purpose, command in HELP_TEXTS[name].examples:
        assert f"    # {purpose}\n    {command}\n" in printed.stdout


def test_the_list_of_commands_is_whole_in_a_narrow_terminal() -> None:
    printed = CliRunner().invoke(app, ["--help"], terminal_width=NARROW).stdout
    listed = printed.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in listed] == COMMANDS
    assert all(line.endswith(HELP_TEXTS[name].summary) for name, line in zip(COMMANDS, listed, strict=True))


@pytest.mark.parametrize("name", COMMANDS)
def test_no_line_of_a_help_is_wider_than_a_narrow_terminal(name: str) -> None:
    printed = CliRunner().invoke(app, [name, "--help"], terminal_width=NARROW)
    assert [line for line in printed.stdout.splitlines() if len(line) > NARROW] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("pslgs st", "status"),
        ("pslgs simulate job.yaml --partition ", "severe"),
        ("pslgs model x --mo", "--model"),
    ],
    ids=["command", "choice", "option"],
)
def test_bash_completes(typed: str, offered: str) -> None:
    words = typed.split(" ")
    environment = {
        **os.environ,
        "_PSLGS_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(words) - 1),
    }
    program = [sys.executable, "-c", "from pslgs.cli.main import app; app(prog_name='pslgs')"]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert offered in done.stdout.split()
