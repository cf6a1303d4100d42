"""Termination messages of the containers' commands: valid JSON, within the limit of Kubernetes."""

import json
import signal
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from pslgs.cli.container import write_termination_message
from pslgs.process.signals import StoppedEarly
from pslgs.process.termination_message import LIMIT_BYTES, ExitStatus, TerminationMessage
from pslgs.server.main import describe_exit
from pslgs.spec import ExitCode, InputError, Violation
from pslgs.telemetry.status import Status

SERVER = ("--run", "run", "--clients", 1)
CLIENT = ("--id", "client-0", "--server", "localhost:7443")


def written_to(path: Path) -> dict[str, object]:
    return json.loads(path.read_bytes())


@given(st.text(st.characters(), max_size=6000))
def test_any_message_is_encoded_as_json_within_the_limit(message: str) -> None:
    encoded = TerminationMessage(ExitStatus(ExitCode.BAD_INPUT, message)).encode()
    assert len(encoded) <= LIMIT_BYTES
    assert json.loads(encoded)["exitCode"] == 2


@pytest.mark.parametrize("letter", ["x", "ü", "\n", "😀"], ids=["plain", "umlaut", "escaped", "emoji"])
def test_a_long_message_is_truncated_and_the_other_fields_are_kept(letter: str) -> None:
    status = Status(started=1.0, epochs=3, clients_expected=2, clients={"live": ("a", "b"), "lost": ()})
    message = TerminationMessage(
        ExitStatus(ExitCode.BAD_INPUT, letter * 10_000),
        lambda exit_status: describe_exit(status, exit_status),
    )
    encoded = message.encode()
    written = json.loads(encoded)
    assert len(encoded) <= LIMIT_BYTES
    assert written["message"].startswith(letter * 200)
    assert written["message"].endswith(" …")
    assert (written["exitCode"], written["phase"], written["epochs"]) == (2, "Failed", 3)
    assert written["clients"] == {"live": 2, "lost": 0}


def test_a_message_within_the_limit_is_not_truncated() -> None:
    message = TerminationMessage(ExitStatus(ExitCode.FINISHED, "all epochs are done")).encode()
    assert json.loads(message) == {"exitCode": 0, "message": "all epochs are done"}


@pytest.mark.parametrize(
    ("error", "written"),
    [
        pytest.param(
            InputError(Violation("spec.epochs", "is 0"), Violation("", "nothing was started")),
            {"exitCode": 2, "message": "spec.epochs: is 0\nnothing was started"},
            id="bad-input",
        ),
        pytest.param(KeyError("left"), {"exitCode": 1, "message": "KeyError: 'left'"}, id="crash"),
    ],
)
def test_an_exception_is_written_and_raised_again(error: Exception, written: object, tmp_path: Path) -> None:
    with pytest.raises(type(error)), write_termination_message(tmp_path / "message"):
        raise error
    assert written_to(tmp_path / "message") == written


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_before_the_process_handles_signals_is_written_as_an_interruption(
    number: int, tmp_path: Path
) -> None:
    before = signal.getsignal(number)
    with pytest.raises(StoppedEarly) as stopped, write_termination_message(tmp_path / "message"):
        signal.raise_signal(number)
    assert stopped.value.code == ExitCode.INTERRUPTED
    name = signal.Signals(number).name
    assert written_to(tmp_path / "message") == {"exitCode": 75, "message": f"stopped by {name}"}
    assert signal.getsignal(number) is before


def test_the_ending_of_the_process_is_written(tmp_path: Path) -> None:
    with write_termination_message(tmp_path / "message") as message:
        message.exit_status = ExitStatus(ExitCode.REFUSED, "the server refuses this client")
    assert written_to(tmp_path / "message") == {"exitCode": 7, "message": "the server refuses this client"}


def test_a_file_that_cannot_be_written_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with write_termination_message(tmp_path / "missing" / "message") as message:
        message.exit_status = ExitStatus(ExitCode.FINISHED, "")
    assert "the termination message could not be written" in caplog.text
    with pytest.raises(typer.Exit), write_termination_message(tmp_path / "missing" / "message"):
        raise typer.Exit(3)


def test_nothing_is_written_without_a_path() -> None:
    with write_termination_message(None) as message:
        message.exit_status = ExitStatus(ExitCode.FINISHED, "")


@pytest.mark.parametrize(
    ("command", "options"), [("server", SERVER), ("client", CLIENT)], ids=["server", "client"]
)
def test_a_manifest_that_cannot_be_parsed_is_reported(command, options, pslgs, tmp_path: Path) -> None:
    broken = tmp_path / "job.yaml"
    broken.write_text("spec: [")
    result = pslgs(command, broken, *options, "--termination-message", tmp_path / "message")
    written = written_to(tmp_path / "message")
    assert result.exit_code == written["exitCode"] == ExitCode.BAD_INPUT
    assert written["message"] in result.stderr


@pytest.mark.parametrize(
    ("command", "options"), [("server", SERVER), ("client", CLIENT)], ids=["server", "client"]
)
def test_every_violation_of_a_manifest_is_reported(command, options, pslgs, bad_job: Path, tmp_path) -> None:
    pslgs(command, bad_job, *options, "--termination-message", tmp_path / "message")
    written = written_to(tmp_path / "message")
    assert written["exitCode"] == ExitCode.BAD_INPUT
    assert {line.split(":")[0] for line in str(written["message"]).splitlines()} == {
        "spec.epoch",
        "spec.epochs",
    }
