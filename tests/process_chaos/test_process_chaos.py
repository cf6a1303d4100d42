"""`pslgs run` under faults of its processes, its terminal and its disk; ``make chaos`` tries many more."""

import os
import subprocess
import sys
from collections import Counter

import pytest

from local_runs.runs import TESTS
from process_chaos.driver import hours
from process_chaos.faults import EXACT, OF_CLIENTS, OF_MEMORY, PASSING, Kind, draw

OF_NO_OTHER_TEST = [
    *(Kind.DISK_FULL, Kind.CHECKPOINTS_READ_ONLY, Kind.TERMINAL_CLOSED, Kind.FORK_SERVER_KILLED),
    *(Kind.STOPPED, Kind.MEMORY_WITHHELD, Kind.CLOCK_SET),
]
OF_RETURNING_CLIENTS = sorted({*OF_CLIENTS, Kind.CLOCK_SET} - OF_MEMORY)
EXACT_SEED, RETURNING_SEED = 5, 33
LIMIT_SECONDS = 600


def chaos(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "process_chaos", *options],
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_SECONDS)
def test_a_run_under_faults_that_lose_no_client_gives_a_bit_identical_model():
    ended = chaos(
        "--exact",
        "--faults",
        "7",
        "--seed",
        str(EXACT_SEED),
        "--kinds",
        *(kind.name for kind in OF_NO_OTHER_TEST),
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_SECONDS)
def test_a_run_whose_clients_are_lost_uses_each_sample_once():
    ended = chaos(
        "--faults",
        "4",
        "--seed",
        str(RETURNING_SEED),
        "--kinds",
        *(kind.name for kind in OF_RETURNING_CLIENTS),
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_short_runs_have_each_of_their_kinds_and_clients_return_to_a_clock_that_is_behind():
    assert {fault.kind for fault in draw(OF_NO_OTHER_TEST, 7, EXACT_SEED)} == {*OF_NO_OTHER_TEST}
    first, *others = draw(OF_RETURNING_CLIENTS, 4, RETURNING_SEED)
    assert first.kind is Kind.CLOCK_SET
    assert hours(first) < 0
    assert {fault.kind for fault in others} == OF_CLIENTS - OF_MEMORY


def test_a_seed_determines_the_faults():
    assert draw(list(Kind), 50, 3) == draw(list(Kind), 50, 3)
    assert draw(list(Kind), 50, 3) != draw(list(Kind), 50, 4)


@pytest.mark.parametrize("seed", range(5))
def test_many_faults_are_of_all_kinds_and_most_pass(seed):
    drawn = Counter(fault.kind for fault in draw(list(Kind), 100, seed))
    assert set(drawn) == set(Kind)
    assert sum(count for kind, count in drawn.items() if kind in PASSING) > 50


def test_every_fault_of_a_client_loses_one_and_no_other_does():
    assert {kind for kind in Kind if kind.name.startswith("CLIENT")} == OF_CLIENTS
    assert set(Kind) == EXACT | OF_CLIENTS
