"""What a command's exception becomes: a sentence, an exit code, and a traceback only for those who ask."""

from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner, Result

from pslgs.cli.errors import Command
from pslgs.spec import ExitCode, InputError, Violation

ERRORS: dict[str, Exception] = {
    "input": InputError(Violation("spec.epochs", "is 0"), Violation("", "nothing was started")),
    "fault": KeyError("left"),
    "silent-fault": RuntimeError(),
    "long-fault": RuntimeError("a\nb"),
    "exit": typer.Exit(ExitCode.INTERRUPTED),
    "abort": typer.Abort(),
    "usage": typer.BadParameter("choose another port"),
    "system": OSError(98, "Address already in use"),
    "pipe": BrokenPipeError(32, "Broken pipe"),
}

app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)


@app.callback()
def options(*, debug: Annotated[bool, typer.Option("--debug")] = False) -> None:
    """Stand in for the options of all commands."""


@app.command("fail", cls=Command)
def fail(name: str) -> None:
    """Stand in for a command that fails."""
    raise ERRORS[name]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.mark.parametrize(
    ("name", "code", "told"),
    [
        pytest.param("input", 2, "error: spec.epochs: is 0\nerror: nothing was started\n", id="bad-input"),
        pytest.param(
            "fault", 1, "error: KeyError: 'left' (pslgs --debug … shows the traceback)\n", id="fault"
        ),
        pytest.param(
            "silent-fault",
            1,
            "error: RuntimeError (pslgs --debug … shows the traceback)\n",
            id="silent-fault",
        ),
        pytest.param(
            "long-fault",
            1,
            "error: RuntimeError: a b (pslgs --debug … shows the traceback)\n",
            id="fault-in-two-lines",
        ),
        pytest.param(
            "system",
            1,
            "error: OSError: [Errno 98] Address already in use (pslgs --debug … shows the traceback)\n",
            id="system",
        ),
    ],
)
def test_an_exception_becomes_a_sentence_and_an_exit_code(name: str, code: int, told: str) -> None:
    result = run("fail", name)
    assert result.exit_code == code
    assert result.stderr == told


def test_an_exit_code_that_a_command_chose_is_kept() -> None:
    assert run("fail", "exit").exit_code == ExitCode.INTERRUPTED


def test_a_reader_that_went_away_is_not_told() -> None:
    result = run("fail", "pipe")
    assert (result.exit_code, result.stderr) == (1, "")


def test_an_abort_stays_an_abort() -> None:
    result = run("fail", "abort")
    assert (result.exit_code, result.stderr) == (1, "Aborted!\n")


def test_a_usage_error_shows_the_usage() -> None:
    result = run("fail", "usage")
    assert result.exit_code == 2
    assert "choose another port" in result.stderr
    assert "Usage:" in result.stderr


@pytest.mark.parametrize(("name", "code"), [("input", 2), ("fault", 1)], ids=["bad-input", "fault"])
def test_the_traceback_is_shown_to_those_who_ask(name: str, code: int) -> None:
    result = run("--debug", "fail", name)
    assert result.exit_code == code
    assert result.stderr.startswith("Traceback")
    assert "error: " in result.stderr


def test_a_traceback_is_not_shown_unasked() -> None:
    assert "Traceback" not in run("fail", "fault").stderr
