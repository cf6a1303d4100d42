"""The pages of docs/reference that are generated from the code."""

import re
from pathlib import Path

import pytest
from documentation.commands import as_markdown as commands_page
from documentation.generated import generated
from documentation.python_api import EXPORTED
from typer import Typer

import pslgs
from pslgs.cli.main import app
from pslgs.spec.exit_codes import ExitCode


@pytest.mark.parametrize("path", generated(), ids=lambda path: path.rsplit("/", 1)[1])
def test_a_generated_page_is_committed(path: str, root: Path) -> None:
    assert (root / path).read_text() == generated()[path], "run `make generate`"


def test_every_exit_code_has_a_meaning_and_a_remedy() -> None:
    page = generated()["docs/reference/exit-codes.md"]
    rows = re.findall(r"^\| (\d+) \| ([A-Z_]+) \| \S.*? \|.*\| \S.*? \|$", page, re.M)
    assert rows == [(str(code.value), code.name) for code in ExitCode]


def test_every_command_has_a_section() -> None:
    sections = re.findall(r"^## pslgs (\S+)$", generated()["docs/reference/commands.md"], re.M)
    assert sections == [command.name for command in app.registered_commands]


def test_a_hidden_command_has_none() -> None:
    program = Typer()
    program.command("seen")(lambda: None)
    program.command("hidden", hidden=True)(lambda: None)
    assert re.findall(r"^## .*$", commands_page(program), re.M) == ["## pslgs", "## pslgs seen"]


def test_everything_that_the_package_exports_has_a_section() -> None:
    page = generated()["docs/reference/python.md"]
    assert set(EXPORTED) == set(pslgs.__all__)
    assert set(EXPORTED) <= set(re.findall(r"^## (\w+)$", page, re.M))
