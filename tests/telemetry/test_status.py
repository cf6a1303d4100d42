import json
import math
from dataclasses import replace
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pslgs.spec import ExitCode, ServerPhase
from pslgs.telemetry.client_view import ClientNames
from pslgs.telemetry.records import (
    AbortRecord,
    CheckpointRecord,
    ClientRecord,
    EvaluationRecord,
    FinishRecord,
    SkippedRecord,
)
from pslgs.telemetry.status import (
    WINDOW,
    Status,
    Throughput,
    kept_figures,
    next_status,
    resumed_status,
)
from telemetry.fake_clients import FakeClients

FRESH = Status(started=900.0, epochs=2, steps=10, clients_expected=3)


def after(*records, status=FRESH):
    return reduce(next_status, records, status)


def test_a_new_status_has_no_values_and_is_json():
    document = json.loads(json.dumps(FRESH.to_json(), allow_nan=False))

    assert document == {
        "phase": "Starting",
        "epoch": 0,
        "epochs": 2,
        "step": 0,
        "steps": 10,
        "progress": 0.0,
        "etaSeconds": None,
        "loss": None,
        "accuracy": None,
        "metric": None,
        "deviation": None,
        "deviationExpected": None,
        "deviationBound": None,
        "samplesPerSecond": None,
        "clients": {"live": [], "lost": [], "excluded": []},
        "clientFaults": [],
        "clientsExpected": 3,
        "lastCheckpoint": None,
        "heartbeat": 0.0,
        "message": "",
        "notice": "",
        "exitCode": None,
        "stoppedEarly": False,
        "started": 900.0,
        "jobUid": "",
    }


def test_a_step_updates_the_values(step):
    status = after(step(step=3, time=100.0), step(step=4, time=102.0, epoch=2, loss=1.5))

    assert (status.phase, status.epoch, status.step, status.progress) == (ServerPhase.TRAINING, 2, 4, 0.4)
    assert (status.loss, status.deviation, status.deviation_bound) == (1.5, 0.2, 0.5)
    assert status.throughput.samples_per_second == pytest.approx(8 / 2)
    assert status.eta_seconds == pytest.approx(6 * 2)


def test_an_evaluation_sets_the_accuracy_and_a_regression_has_none(step):
    assert after(EvaluationRecord(1.0, 1, 1, 10, 0.5, 0.9)).accuracy == 0.9
    assert after(EvaluationRecord(1.0, 1, 1, 10, 0.5, None)).accuracy is None


def test_clients_are_looked_up_when_the_status_is_read():
    clients = FakeClients({"live": ("a", "b"), "lost": ()})
    status = replace(FRESH, clients=ClientNames(clients))
    assert status.to_json()["clients"] == {"live": ["a", "b"], "lost": [], "excluded": []}
    clients.states = {"live": ("b",), "lost": ("a",)}
    assert status.to_json()["clients"] == {"live": ["b"], "lost": ["a"], "excluded": []}


def test_a_client_that_joins_leaves_the_rest_of_the_status_alone():
    assert after(ClientRecord(1.0, 0, "a", "joined", "")) == FRESH


def test_a_failed_checkpoint_is_shown_until_one_succeeds(step):
    failed = after(CheckpointRecord(1.0, 2, 0.1, "disk full"), step())
    assert failed.to_json()["message"] == "the checkpoint of step 2 could not be written: disk full"
    assert failed.to_json()["lastCheckpoint"] is None

    written = after(CheckpointRecord(5.0, 4, 0.1), status=failed)
    assert written.to_json()["message"] == ""
    assert written.to_json()["lastCheckpoint"] == {"step": 4, "time": 5.0}


def test_a_loss_that_is_nan_becomes_null(step):
    status = after(step(loss=math.nan))

    assert status.to_json()["loss"] is None


@pytest.mark.parametrize(
    ("outcome", "phase", "code"),
    [("FINISHED", "Finished", 0), ("INTERRUPTED", "Interrupted", 75), ("QUORUM_LOST", "Failed", 3)],
    ids=["finished", "interrupted", "failed"],
)
def test_the_end_has_a_phase_a_code_and_a_message(step, outcome, phase, code):
    document = after(step(time=1.0), step(time=2.0), FinishRecord(9.0, 2, outcome, "why")).to_json()

    assert (document["phase"], document["exitCode"], document["message"]) == (phase, code, "why")
    assert document["etaSeconds"] is None


def test_aborted_attempts_and_skipped_samples_change_nothing():
    assert after(AbortRecord(1.0, 1, 1, 1, "why"), SkippedRecord(1.0, 1, {"a": 3})) == FRESH


def test_a_resumed_run_keeps_its_figures_but_not_its_clients_throughput_or_end(step):
    records = [
        ClientRecord(1.0, 0, "a", "joined", ""),
        step(step=4),
        EvaluationRecord(1.0, 1, 4, 10, 0.5, 0.9),
        CheckpointRecord(2.0, 4, 0.1),
        FinishRecord(3.0, 4, "INTERRUPTED", "stopped"),
    ]

    status = resumed_status(FRESH, records)

    assert (status.step, status.accuracy, status.last_checkpoint.step) == (4, 0.9, 4)
    assert (status.phase, status.exit_code, status.message) == (ServerPhase.STARTING, None, "")
    assert (status.clients, status.throughput, status.started) == (FRESH.clients, Throughput(), 900.0)


def test_the_figures_of_a_checkpoint_replace_old_records(step):
    records = [step(step=4, loss=float("nan")), EvaluationRecord(1.0, 1, 4, 10, 0.5, 0.9)]
    figures = json.loads(json.dumps(kept_figures(after(*records)), allow_nan=False))

    status = resumed_status(FRESH, [CheckpointRecord(2.0, 4, 0.1)], figures)

    assert replace(status, loss=None) == replace(
        resumed_status(FRESH, [*records, CheckpointRecord(2.0, 4, 0.1)]), loss=None
    )
    assert status.loss is None


@given(st.lists(st.tuples(st.floats(0.01, 100), st.integers(1, 1000)), min_size=2, max_size=2 * WINDOW))
def test_throughput_is_the_mean_over_the_last_steps(steps):
    speed, now = Throughput(), 1.7e9
    for seconds, samples in steps:
        now += seconds
        speed = speed.after(now, samples)

    last = steps[1:][-WINDOW:]
    elapsed = sum(seconds for seconds, _ in last)
    assert speed.samples_per_second == pytest.approx(sum(samples for _, samples in last) / elapsed, rel=1e-3)
    assert speed.seconds_per_step == pytest.approx(elapsed / len(last), rel=1e-3)


@pytest.mark.parametrize(
    "times", [(), (1.0,), (1.0, 1.0), (2.0, 1.0)], ids=["none", "one", "at once", "backwards"]
)
def test_without_two_steps_at_different_times_there_is_no_throughput(times):
    speed = reduce(lambda speed, time: speed.after(time, 8), times, Throughput())

    assert speed.samples_per_second is None
    assert speed.seconds_per_step is None


def test_progress_never_exceeds_one_and_needs_a_known_length(step):
    assert after(step(step=11)).progress == 1.0
    assert after(step(), status=Status(started=0.0, epochs=1, clients_expected=1)).progress == 0.0


def test_progress_is_the_fraction_that_the_coordinator_computes_and_complete_at_the_end(step):
    status = replace(after(step(step=4)), fraction=0.25)
    assert status.progress == status.to_json()["progress"] == 0.25
    assert status.ended(ExitCode.INTERRUPTED, "").progress == 0.25
    assert status.ended(ExitCode.FINISHED, "").progress == 1.0


def test_the_notice_is_shown_if_there_is_no_other_message(step):
    status = replace(FRESH, notice="there is no GPU")
    assert status.to_json()["message"] == status.to_json()["notice"] == "there is no GPU"
    assert after(step(step=1), status=status).to_json()["message"] == "there is no GPU"
    failed = after(CheckpointRecord(1.0, 1, 0.1, "disk full"), status=status)
    assert "disk full" in failed.to_json()["message"]
    assert failed.ended(ExitCode.FINISHED, "trained").to_json()["message"] == "trained"


@pytest.mark.parametrize(
    ("exit_code", "phase"),
    [
        pytest.param(
            code,
            {0: ServerPhase.FINISHED, 75: ServerPhase.INTERRUPTED}.get(code, ServerPhase.FAILED),
            id=code.name,
        )
        for code in ExitCode
    ],
)
def test_a_run_that_has_ended_has_the_phase_of_its_exit_code(exit_code, phase):
    ended = FRESH.ended(exit_code, "so it is")
    assert (ended.phase, ended.exit_code, ended.message) == (phase, exit_code, "so it is")


def evaluated(epoch, value, metric="Accuracy"):
    return EvaluationRecord(1.0, epoch, epoch, 10, 0.5, value, metric=metric, metrics={metric: value})


@pytest.mark.parametrize(
    ("metric", "values", "best", "epoch"),
    [
        ("BalancedAccuracy", (0.5, 0.7, 0.6), 0.7, 2),
        ("Loss", (0.5, 0.7, 0.6), 0.5, 1),
        ("AUROC", (None, 0.6, math.nan), 0.6, 2),
    ],
    ids=["higher is better", "lower is better", "sometimes undefined"],
)
def test_the_chosen_metric_is_shown_with_its_best_value(metric, values, best, epoch):
    fresh = replace(FRESH, metric=metric)
    status = after(*(evaluated(n, v, metric) for n, v in enumerate(values, start=1)), status=fresh)
    last = values[-1] if values[-1] == values[-1] else None
    shown = {"name": metric, "value": last, "best": best, "bestEpoch": epoch}
    assert status.to_json()["metric"] == shown
    figures = json.loads(json.dumps(kept_figures(status), allow_nan=False))
    assert resumed_status(fresh, (), figures).to_json()["metric"] == shown
    other = resumed_status(replace(fresh, metric="R2"), (), figures).to_json()["metric"]
    assert other == {"name": "R2", "value": None, "best": None, "bestEpoch": None}


def test_a_training_that_stopped_early_says_so():
    document = after(FinishRecord(9.0, 2, "FINISHED", "stopped early", early=True)).to_json()
    assert (document["stoppedEarly"], document["progress"]) == (True, 1.0)
