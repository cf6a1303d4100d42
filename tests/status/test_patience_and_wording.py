"""When silence becomes trouble, and how texts are bounded."""

from dataclasses import replace
from datetime import timedelta

import pytest

from manifests.jobs import NOW
from pslgs_operator.assessment.timeouts import HANGING, hanging, soonest
from pslgs_operator.snapshot import ChildJobState, ChildPod, Snapshot
from pslgs_operator.text import cut, listing, plain, word
from status.sights import client_job, client_pod, pending, server_job, server_pod, unscheduled

SERVER = server_job(created=NOW)
POD = pending(server_pod(created=NOW))


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param(Snapshot(), None, id="nothing"),
        pytest.param(Snapshot(server=SERVER), 50, id="a-job-without-pods"),
        pytest.param(
            Snapshot(clients={"edge-0-0": client_job("edge-0-0", created=NOW)}), 50, id="a-client's"
        ),
        pytest.param(
            Snapshot(server=replace(SERVER, state=ChildJobState.FAILED)), None, id="a-job-that-is-over"
        ),
        pytest.param(Snapshot(server=SERVER, pods=(POD,)), 590, id="containers"),
        pytest.param(Snapshot(server=SERVER, pods=(unscheduled(POD, "volumes"),)), 20, id="volumes"),
        pytest.param(Snapshot(server=SERVER, pods=(server_pod(),)), None, id="a-pod-that-runs"),
        pytest.param(
            Snapshot(server=SERVER, pods=(POD, pending(client_pod("edge-0-0")))),
            291,
            id="the-first-of-several",
        ),
    ],
)
def test_the_next_moment_at_which_silence_is_trouble(seen: Snapshot, expected: float | None) -> None:
    assert soonest(seen, NOW + timedelta(seconds=10)) == (expected and timedelta(seconds=expected))


@pytest.mark.parametrize("pods", [pytest.param((), id="no-pod"), pytest.param((POD,), id="a-pod-that-hangs")])
def test_what_does_not_start_at_once_is_asked_about_soon(pods: tuple[ChildPod, ...]) -> None:
    seen = Snapshot(server=SERVER, pods=pods)
    assert soonest(seen, NOW) == HANGING
    assert hanging(seen, NOW + HANGING / 2) is None
    assert hanging(seen, NOW + HANGING) == HANGING


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param([], "", id="none"),
        pytest.param(["a"], "a", id="one"),
        pytest.param(["a", "b"], "a and b", id="two"),
        pytest.param(list("abcde"), "a, b, c, d and e", id="five"),
        pytest.param(list("abcdefg"), "a, b, c, d, e and 2 more", id="many"),
    ],
)
def test_names_are_listed_in_words(names: list[str], expected: str) -> None:
    assert listing(names) == expected


def test_a_text_is_cut_by_bytes_and_says_so() -> None:
    assert cut("ä" * 10, 20) == "ä" * 10
    assert cut("ä" * 10, 19) == "ä" * 8 + "…"
    assert plain("  a\tb\x00c \n") == "a b c"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("OOMKilled", "OOMKilled", id="fine"),
        pytest.param("OutOfnvidia.com/gpu", "OutOfnvidiacomgpu", id="signs"),
        pytest.param("7 dwarfs", "Dwarfs", id="a-number-first"),
        pytest.param("…", "Unknown", id="nothing-left"),
    ],
)
def test_a_foreign_reason_becomes_a_word_of_the_api(text: str, expected: str) -> None:
    assert word(text) == expected
