"""The pages and figures of docs/ that are generated from the code."""

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

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return generated()


def test_what_is_generated_is_committed(pages: dict[str, str], root: Path) -> None:
    assert [path for path, text in pages.items() if (root / path).read_text() != text] == [], (
        "`make generate`"
    )


def test_every_exit_code_has_a_meaning_and_a_remedy(pages: dict[str, str]) -> None:
    rows = re.findall(
        r"^\| (\d+) \| ([A-Z_]+) \| \S.* \| \S.* \|$", pages["docs/reference/exit-codes.md"], re.M
    )
    assert rows == [(str(code.value), code.name) for code in ExitCode]


def test_every_command_has_a_section(pages: dict[str, str]) -> None:
    sections = re.findall(r"^## pslgs (\S+)$", pages["docs/reference/commands.md"], re.M)
    assert sections == [command.name for command in app.registered_commands]


def test_a_hidden_command_has_none() -> None:
    program = Typer()
    program.command("seen")(lambda: None)
    program.command("hidden", hidden=True)(lambda: None)
    assert re.findall(r"^## .*$", commands_page(program), re.M) == ["## pslgs", "## pslgs seen"]


def test_everything_that_the_package_exports_has_a_section(pages: dict[str, str]) -> None:
    assert set(EXPORTED) == set(pslgs.__all__)
    assert set(EXPORTED) <= set(re.findall(r"^## (\w+)$", pages["docs/reference/python.md"], re.M))


@pytest.mark.parametrize(
    "row",
    [
        pytest.param("| `--set` | is '…', must read path=value, e.g. spec.epochs=3 |", id="with-its-option"),
        pytest.param("|  | holds no samples; check that the path leads to the data |", id="of-any-field"),
        pytest.param("| TrainingStarted | the first step is done |", id="event"),
        pytest.param("|  | is unknown; did you mean …? |", id="composed-by-a-function"),
        pytest.param(
            "|  | is '…', which is a folder; name its files, such as '…/\\*' |",
            id="chosen-before-it-is-raised",
        ),
        pytest.param(
            "|  | '…' cannot be imported (…); put the package on the Python path. |", id="with-its-cause"
        ),
        pytest.param(
            "|  | …: samples differ in shape (…); add a transform, such as Resize |", id="problem-of-data"
        ),
    ],
)
def test_the_index_has_messages_with_what_they_are_about(row: str, pages: dict[str, str]) -> None:
    assert row in pages["docs/reference/messages.md"].splitlines()
