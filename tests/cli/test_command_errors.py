"""Exceptions of commands become error lines and exit codes; tracebacks are printed with --debug only."""

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
    """Global options of the test command."""


@app.command("fail", cls=Command)
def fail(name: str) -> None:
    """Raise the error of that name."""
    raise ERRORS[name]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.mark.parametrize(
    ("name", "code", "stderr"),
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
def test_an_exception_becomes_an_error_line_and_an_exit_code(name: str, code: int, stderr: str) -> None:
    result = run("fail", name)
    assert result.exit_code == code
    assert result.stderr == stderr


def test_the_exit_code_of_a_command_is_kept() -> None:
    assert run("fail", "exit").exit_code == ExitCode.INTERRUPTED


def test_a_broken_pipe_is_not_reported() -> None:
    result = run("fail", "pipe")
    assert (result.exit_code, result.stderr) == (1, "")


def test_an_abort_is_reported_by_typer() -> None:
    result = run("fail", "abort")
    assert (result.exit_code, result.stderr) == (1, "Aborted!\n")


def test_a_usage_error_prints_the_usage() -> None:
    result = run("fail", "usage")
    assert result.exit_code == 2
    assert "choose another port" in result.stderr
    assert "Usage:" in result.stderr


@pytest.mark.parametrize(("name", "code"), [("input", 2), ("fault", 1)], ids=["bad-input", "fault"])
def test_the_traceback_is_printed_with_debug(name: str, code: int) -> None:
    result = run("--debug", "fail", name)
    assert result.exit_code == code
    assert result.stderr.startswith("Traceback")
    assert "error: " in result.stderr


def test_no_traceback_is_printed_without_debug() -> None:
    assert "Traceback" not in run("fail", "fault").stderr
