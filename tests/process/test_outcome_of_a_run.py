"""What `pslgs run` says at its end: the server's words, or those of a client that failed for good."""

from pathlib import Path

import pytest

from pslgs.launch.local_clients import LocalClient
from pslgs.launch.local_run import LocalRun, _children, _outcome
from pslgs.launch.processes import Child
from pslgs.launch.run_folder import Cores
from pslgs.spec import ExitCode
from server.fakes import tiny_spec

TRACEBACK = ["Traceback (most recent call last):", '  File "mine.py", line 3, in load', "KeyError: 'scan'"]
FAILED = "error: spec.data.train: no scan"


class Ended(Child):
    """A process that ended with an exit code, and with these lines in its log."""

    def __init__(self, folder: Path, name: str, code: int, *lines: str) -> None:
        super().__init__(lambda: None, (), folder / name, 1)
        (folder / name).write_text("\n".join(lines))
        self._code = code

    @property
    def exit_code(self) -> int:
        return self._code


def test_the_server_names_the_client_that_cannot_use_its_data(tmp_path):
    server = Ended(tmp_path, "server", 2, "… INFO BAD_INPUT", "error: client b: spec.data.train: no scan")
    others = Ended(tmp_path, "a", 2, "… INFO the job has ended: client b: spec.data.train: no scan")
    outcome = _outcome(2, server, [others, Ended(tmp_path, "b", 2, FAILED)])
    assert outcome.exit_code == ExitCode.BAD_INPUT
    assert outcome.messages == ["error: client b: spec.data.train: no scan"]


@pytest.mark.parametrize("code", [2, 75], ids=["told-in-time", "stopped-before"])
def test_the_traceback_of_a_users_code_is_above_the_error(code, tmp_path):
    words = ["error: client b: spec.data.train: no scan"] if code == ExitCode.BAD_INPUT else []
    client = Ended(tmp_path, "b", 2, "… INFO started", *TRACEBACK, FAILED, "… INFO ended")
    outcome = _outcome(code, Ended(tmp_path, "server", code, *words), [client])
    assert outcome.exit_code == ExitCode.BAD_INPUT
    assert outcome.messages == [*TRACEBACK, *(words or [FAILED])]


def test_a_refused_client_is_the_outcome_of_a_server_that_was_stopped_for_it(tmp_path):
    client = Ended(tmp_path, "b", 7, "x WARNING the server refuses this client: another job")
    outcome = _outcome(ExitCode.INTERRUPTED, Ended(tmp_path, "server", 75), [client])
    assert (outcome.exit_code, outcome.messages) == (7, ["the server refuses this client: another job"])


def test_the_signal_that_killed_a_server_is_named_after_its_last_words(tmp_path):
    outcome = _outcome(-11, Ended(tmp_path, "server", -11, "… INFO after step 4 client b lost"), [])
    assert outcome.exit_code == ExitCode.INTERNAL_ERROR
    assert outcome.messages == [
        "… INFO after step 4 client b lost",
        "error: the server was killed by SIGSEGV; `--resume` goes on from its last checkpoint",
    ]


def test_a_run_whose_fork_server_has_ended_says_so(tmp_path):
    server, client = (Ended(tmp_path, name, 255, "x WARNING something else") for name in ("server", "b"))
    outcome = _outcome(255, server, [client])
    assert outcome.exit_code == ExitCode.INTERNAL_ERROR
    assert [message.partition(" has ended")[0] for message in outcome.messages] == [
        "the process from which server and clients were forked"
    ]


def test_a_traceback_without_an_error_of_the_process_is_no_message(tmp_path):
    server = Ended(tmp_path, "server", 0, *TRACEBACK, "x WARNING the disk is full")
    assert _outcome(0, server, []).messages == ["the disk is full"]


@pytest.mark.parametrize("debug", [False, True])
def test_processes_print_tracebacks_where_the_command_does(debug, tmp_path):
    run = LocalRun(
        "job", tiny_spec(), [LocalClient("a")], tmp_path, tmp_path, Cores(1, 1), 1, lambda: None, debug=debug
    )
    server, clients = _children(run, tmp_path, 1)
    for child, command in ((server, "server"), (clients[0], "client")):
        assert child.command[: debug + 1] == ("--debug", command) if debug else (command,)
