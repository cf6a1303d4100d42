"""Whatever ends a container's process, its last words say so: valid JSON, small enough for Kubernetes."""

import json
import signal
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from pslgs.cli.container import leaving
from pslgs.process.signals import StoppedEarly
from pslgs.process.termination_message import LIMIT_BYTES, Ending, TerminationMessage
from pslgs.server.main import describe_ending
from pslgs.spec import ExitCode, InputError, Violation
from pslgs.telemetry.status import Status

SERVER = ("--run", "run", "--clients", 1)
CLIENT = ("--id", "client-0", "--server", "localhost:7443")


def left_at(path: Path) -> dict[str, object]:
    return json.loads(path.read_bytes())


@given(st.text(st.characters(), max_size=6000))
def test_any_message_makes_valid_json_of_bounded_size(message: str) -> None:
    encoded = TerminationMessage(Ending(ExitCode.BAD_INPUT, message)).encode()
    assert len(encoded) <= LIMIT_BYTES
    assert json.loads(encoded)["exitCode"] == 2


@pytest.mark.parametrize("letter", ["x", "ü", "\n", "😀"], ids=["plain", "umlaut", "escaped", "emoji"])
def test_a_long_message_is_cut_and_the_rest_is_kept(letter: str) -> None:
    status = Status(started=1.0, epochs=3, clients_expected=2, clients={"live": ("a", "b"), "lost": ()})
    words = TerminationMessage(
        Ending(ExitCode.BAD_INPUT, letter * 10_000), lambda ending: describe_ending(status, ending)
    )
    encoded = words.encode()
    said = json.loads(encoded)
    assert len(encoded) <= LIMIT_BYTES
    assert said["message"].startswith(letter * 200)
    assert said["message"].endswith(" …")
    assert (said["exitCode"], said["phase"], said["epochs"]) == (2, "Failed", 3)
    assert said["clients"] == {"live": 2, "lost": 0}


def test_a_message_that_fits_is_not_cut() -> None:
    words = TerminationMessage(Ending(ExitCode.FINISHED, "all epochs are done")).encode()
    assert json.loads(words) == {"exitCode": 0, "message": "all epochs are done"}


@pytest.mark.parametrize(
    ("error", "said"),
    [
        pytest.param(
            InputError(Violation("spec.epochs", "is 0"), Violation("", "nothing was started")),
            {"exitCode": 2, "message": "spec.epochs: is 0\nnothing was started"},
            id="bad-input",
        ),
        pytest.param(KeyError("left"), {"exitCode": 1, "message": "KeyError: 'left'"}, id="crash"),
    ],
)
def test_an_error_is_said_and_goes_on(error: Exception, said: object, tmp_path: Path) -> None:
    with pytest.raises(type(error)), leaving(tmp_path / "words"):
        raise error
    assert left_at(tmp_path / "words") == said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_before_the_work_listens_ends_the_process_in_order(number: int, tmp_path: Path) -> None:
    before = signal.getsignal(number)
    with pytest.raises(StoppedEarly) as stopped, leaving(tmp_path / "words"):
        signal.raise_signal(number)
    assert stopped.value.code == ExitCode.INTERRUPTED
    name = signal.Signals(number).name
    assert left_at(tmp_path / "words") == {"exitCode": 75, "message": f"stopped by {name}"}
    assert signal.getsignal(number) is before


def test_how_the_work_ended_is_said(tmp_path: Path) -> None:
    with leaving(tmp_path / "words") as words:
        words.ending = Ending(ExitCode.REFUSED, "the server refuses this client")
    assert left_at(tmp_path / "words") == {"exitCode": 7, "message": "the server refuses this client"}


def test_a_place_that_cannot_be_written_costs_a_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with leaving(tmp_path / "missing" / "words") as words:
        words.ending = Ending(ExitCode.FINISHED, "")
    assert "the termination message could not be written" in caplog.text
    with pytest.raises(typer.Exit), leaving(tmp_path / "missing" / "words"):
        raise typer.Exit(3)


def test_no_place_is_needed() -> None:
    with leaving(None) as words:
        words.ending = Ending(ExitCode.FINISHED, "")


@pytest.mark.parametrize(
    ("command", "options"), [("server", SERVER), ("client", CLIENT)], ids=["server", "client"]
)
def test_a_manifest_that_cannot_be_parsed_is_said(command, options, pslgs, tmp_path: Path) -> None:
    broken = tmp_path / "job.yaml"
    broken.write_text("spec: [")
    result = pslgs(command, broken, *options, "--termination-message", tmp_path / "words")
    said = left_at(tmp_path / "words")
    assert result.exit_code == said["exitCode"] == ExitCode.BAD_INPUT
    assert said["message"] in result.stderr


@pytest.mark.parametrize(
    ("command", "options"), [("server", SERVER), ("client", CLIENT)], ids=["server", "client"]
)
def test_everything_wrong_with_a_manifest_is_said(command, options, pslgs, bad_job: Path, tmp_path) -> None:
    pslgs(command, bad_job, *options, "--termination-message", tmp_path / "words")
    said = left_at(tmp_path / "words")
    assert said["exitCode"] == ExitCode.BAD_INPUT
    assert {line.split(":")[0] for line in str(said["message"]).splitlines()} == {"spec.epoch", "spec.epochs"}
