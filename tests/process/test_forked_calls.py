import os
import signal
from concurrent.futures import BrokenExecutor
from pathlib import Path

import pytest

from pslgs.process.forked_calls import call_in_process, fork_server, terminating_calls
from pslgs.spec.errors import InputError, Violation

pytestmark = pytest.mark.slow

_inherited: list[str] = []


def describe(*values: object) -> tuple[int, tuple[object, ...], list[str]]:
    return os.getpid(), values, _inherited


def inherit(value: str) -> None:
    _inherited.append(value)


def refuse(path: str) -> None:
    raise InputError(Violation(path, "is wrong"), Violation("", "and more"))


def end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def wait(started: str) -> None:
    Path(started).write_text(str(os.getpid()))
    signal.pause()


def test_the_result_is_that_of_another_process_which_was_prepared():
    process, values, inherited = call_in_process(
        fork_server(), describe, 1, "two", prepare=inherit, inherited=("before",)
    ).result()
    assert process != os.getpid()
    assert (values, inherited, _inherited) == ((1, "two"), ["before"], [])


def test_invalid_input_keeps_its_fields():
    with pytest.raises(InputError) as refusal:
        call_in_process(fork_server(), refuse, "spec.data").result()
    assert refusal.value.violations == (Violation("spec.data", "is wrong"), Violation("", "and more"))


def test_a_process_that_ends_before_its_result_is_told():
    with pytest.raises(BrokenExecutor):
        call_in_process(fork_server(), end).result()


def test_a_block_that_raises_ends_the_processes_it_started_and_no_others(tmp_path):
    before, inside = tmp_path / "before", tmp_path / "inside"
    for pipe in (before, inside):
        os.mkfifo(pipe)
    pids = []

    def start(pipe: Path) -> None:
        call_in_process(fork_server(), wait, str(pipe))
        pids.append(int(pipe.read_text()))

    def leave_while_it_runs() -> None:
        with terminating_calls():
            start(inside)
            raise KeyboardInterrupt

    start(before)
    with pytest.raises(KeyboardInterrupt):
        leave_while_it_runs()
    with pytest.raises(ProcessLookupError):
        os.kill(pids[1], 0)
    os.kill(pids[0], signal.SIGKILL)
