"""What servers say of themselves, and what containers leave behind, hostile ones among them."""

import json

import pytest

from pslgs.telemetry.status import Status
from pslgs_operator.parse.server_status import read_last_words, read_report
from pslgs_operator.snapshot import ServerReport, TerminationMessage

ANSWER = {
    "phase": "Training", "epoch": 2, "epochs": 3, "step": 42, "steps": 100, "progress": 0.42,
    "etaSeconds": 60.5, "loss": 0.018, "accuracy": None, "deviation": 0.32, "deviationExpected": 0.3,
    "deviationBound": 0.5, "samplesPerSecond": 5829.4, "clients": {"live": ["b", "a"], "lost": ["c"]},
    "clientsExpected": 3, "lastCheckpoint": {"step": 40, "time": 1767323045.7}, "server_reply": 1767323050.0,
    "message": "", "exitCode": None, "started": 1767320000.0, "stoppedEarly": True,
    "metric": {"name": "AUROC", "value": 0.9, "best": 0.95, "bestEpoch": 1},
}  # fmt: skip


def test_an_answer_is_read() -> None:
    assert read_report(json.dumps(ANSWER)) == ServerReport(
        phase="Training",
        epoch=2,
        epochs=3,
        step=42,
        steps=100,
        progress=0.42,
        eta_seconds=60.5,
        loss=0.018,
        deviation=0.32,
        deviation_expected=0.3,
        deviation_bound=0.5,
        samples_per_second=5829.4,
        live=("a", "b"),
        lost=("c",),
        checkpoint_step=40,
        checkpoint_time=1767323045.7,
        metric="AUROC",
        metric_value=0.9,
        best_value=0.95,
        best_epoch=1,
        stopped_early=True,
    )


def test_what_the_runtime_writes_is_what_the_operator_reads() -> None:
    clients = {"live": ("edge-0-0",), "lost": ("edge-1-0",)}
    status = Status(started=0, epochs=3, clients_expected=2, steps=10, clients=clients)
    report = read_report(json.dumps(status.to_json()).encode())
    assert report is not None
    assert (report.phase, report.live, report.lost) == ("Starting", ("edge-0-0",), ("edge-1-0",))


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param("", id="nothing"),
        pytest.param(b"\xff\xfe{}", id="no-text"),
        pytest.param("<html>502</html>", id="a-proxy's-page"),
        pytest.param("[1]", id="no-mapping"),
        pytest.param("{}", id="no-phase"),
        pytest.param('{"phase": 7}', id="a-phase-that-is-a-number"),
        pytest.param("[" * 100_000, id="deep"),
        pytest.param('{"phase": ' * 5000, id="deep-mappings"),
        pytest.param('{"phase": "' + "9" * 5000, id="cut-off"),
        pytest.param("9" * 5000, id="a-number-too-long-to-read"),
    ],
)
def test_an_answer_that_is_none_is_none(answer: str | bytes) -> None:
    assert read_report(answer) is None


@pytest.mark.parametrize(
    ("field", "value", "name", "expected"),
    [
        pytest.param("step", 2**63, "step", 0, id="a-step-beyond-64-bits"),
        pytest.param("step", -1, "step", 0, id="a-negative-step"),
        pytest.param("step", True, "step", 0, id="a-step-that-is-true"),
        pytest.param("loss", 10**400, "loss", None, id="a-loss-beyond-floats"),
        pytest.param("loss", float("nan"), "loss", None, id="a-loss-that-is-none"),
        pytest.param("loss", "0.1", "loss", None, id="a-loss-in-words"),
        pytest.param("progress", 7, "progress", 1.0, id="more-than-everything"),
        pytest.param("clients", ["a"], "live", (), id="clients-in-a-list"),
        pytest.param("clients", {"live": ["a", 7, "", None]}, "live", ("a",), id="clients-without-names"),
        pytest.param("message", "a\x1b[31mb\n\n c\u202e", "message", "a [31mb c", id="control-characters"),
        pytest.param("lastCheckpoint", [40], "checkpoint_step", None, id="a-checkpoint-in-a-list"),
    ],
)
def test_what_is_odd_is_as_good_as_missing(field: str, value: object, name: str, expected: object) -> None:
    report = read_report(json.dumps(ANSWER | {field: value}))
    assert getattr(report, name) == expected


def test_a_notice_is_told_from_a_message() -> None:
    notice = read_report(json.dumps(ANSWER | {"message": "no CUDA", "notice": "no CUDA"}))
    assert notice is not None
    assert (notice.message, notice.notice) == ("", "no CUDA")


def test_last_words_of_a_server_hold_its_report_with_numbers_of_clients() -> None:
    words = ANSWER | {
        "phase": "Finished",
        "clients": {"live": 3, "lost": 0},
        "exitCode": 0,
        "message": "done",
    }
    found = read_last_words(json.dumps(words), 0)
    assert (found.exit_code, found.message) == (0, "done")
    assert found.report is not None
    assert (found.report.live_count, found.report.lost_count, found.report.live) == (3, 0, ())


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(
            '{"exitCode": 7, "message": "refused"}', TerminationMessage(1, "refused"), id="a-client's"
        ),
        pytest.param("", TerminationMessage(1, ""), id="none"),
        pytest.param(
            "Traceback …\n  File x\nOSError: no disk\n\n---\n",
            TerminationMessage(1, "OSError: no disk"),
            id="a-log",
        ),
        pytest.param('{"exitCode": 7, "mess', TerminationMessage(1, '{"exitCode": 7, "mess'), id="cut-off"),
        pytest.param("x" * 5000, TerminationMessage(1, "x" * 297 + "…"), id="long"),
    ],
)
def test_last_words_are_read(message: str, expected: TerminationMessage) -> None:
    assert read_last_words(message, 1) == expected


def test_the_exit_code_of_last_words_counts_only_where_kubernetes_knows_none() -> None:
    assert read_last_words('{"exitCode": 7, "message": "refused"}', None).exit_code == 7
