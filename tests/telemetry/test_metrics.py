import math
from dataclasses import replace

import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from pslgs.spec.server_phase import ServerPhase
from pslgs.telemetry.evaluation_details import ClassEvaluation, EvaluationDetails
from pslgs.telemetry.metrics import ClientMetrics, JobLabels, JobSeries, ServerMetrics
from pslgs.telemetry.prometheus import ProcessRegistry
from pslgs.telemetry.records import (
    AbortRecord,
    CheckpointRecord,
    ClientEvaluation,
    ClientRecord,
    EvaluationRecord,
    FinishRecord,
    SkippedRecord,
)
from pslgs.telemetry.series import CLASS_SERIES, REFUSAL_REASONS
from telemetry.fake_clients import FakeClients

JOB = JobLabels(name="cifar10", architecture="resnet18", cut_layer="layer1", strategy="Global")
SERIES = JobSeries(JOB, epochs=3, quorum=1, client_series=2)

SERVER = {
    "pslgs_steps": ("counter", set()),
    "pslgs_samples": ("counter", set()),
    "pslgs_step_seconds": ("histogram", {"phase"}),
    "pslgs_batch_deviation": ("gauge", set()),
    "pslgs_batch_deviation_expected": ("gauge", set()),
    "pslgs_batch_deviation_bound": ("gauge", {"confidence"}),
    "pslgs_global_batch_size": ("gauge", set()),
    "pslgs_active_clients": ("gauge", set()),
    "pslgs_clients": ("gauge", {"state"}),
    "pslgs_quorum_clients": ("gauge", set()),
    "pslgs_client_samples": ("counter", {"client"}),
    "pslgs_client_remaining_samples": ("gauge", {"client"}),
    "pslgs_client_response_seconds": ("summary", {"client", "phase"}),
    "pslgs_wire_bytes": ("counter", {"direction", "kind"}),
    "pslgs_steps_aborted": ("counter", {"reason"}),
    "pslgs_clients_lost": ("counter", {"reason"}),
    "pslgs_clients_refused": ("counter", {"reason"}),
    "pslgs_answers_ignored": ("counter", {"reason"}),
    "pslgs_samples_skipped": ("counter", set()),
    "pslgs_training_loss": ("gauge", set()),
    "pslgs_evaluation_loss": ("gauge", set()),
    "pslgs_evaluation_accuracy": ("gauge", set()),
    "pslgs_client_evaluation_accuracy": ("gauge", {"client"}),
    "pslgs_client_faults": ("counter", {"client", "reason"}),
    "pslgs_data_left_out": ("gauge", {"client", "reason"}),
    "pslgs_evaluation_metric": ("gauge", {"metric"}),
    "pslgs_class_evaluation_metric": ("gauge", {"class", "metric"}),
    "pslgs_client_evaluation_metric": ("gauge", {"client", "metric"}),
    "pslgs_evaluation_timestamp_seconds": ("gauge", set()),
    "pslgs_phase": ("gauge", {"phase"}),
    "pslgs_epoch": ("gauge", set()),
    "pslgs_epochs": ("gauge", set()),
    "pslgs_checkpoint_timestamp_seconds": ("gauge", set()),
    "pslgs_checkpoint_failures": ("counter", set()),
    "pslgs_journal_waiting_records": ("gauge", set()),
    "pslgs_journal_dropped_records": ("counter", set()),
    "pslgs_heartbeat_timestamp_seconds": ("gauge", set()),
    "pslgs_job": ("info", {"name", "architecture", "cut_layer", "strategy"}),
}
CLIENT = {
    "pslgs_client_forward_seconds": ("histogram", set()),
    "pslgs_client_backward_seconds": ("histogram", set()),
    "pslgs_client_load_seconds": ("histogram", set()),
}


EVALUATION = EvaluationRecord(
    1.0,
    1,
    1,
    10,
    0.5,
    0.75,
    {"a": ClientEvaluation(10, 0.5, 0.75, {"Loss": 0.5, "MacroF1": 0.6, "AUROC": 0.9})},
    metric="MacroF1",
    metrics={"Loss": 0.5, "MacroF1": 0.7, "AUROC": None},
    details=EvaluationDetails(
        (ClassEvaluation("cat", 4, recall=0.25), ClassEvaluation("dog", 6, 0.5, 1.0, 0.6))
    ),
)


@pytest.fixture
def registry():
    return ProcessRegistry()


@pytest.fixture
def metrics(registry):
    return ServerMetrics(registry, SERIES)


@pytest.fixture
def clients():
    return FakeClients({"live": ("a", "b"), "lost": ("c",)}, {"a": 7, "b": 9})


@pytest.fixture
def busy(metrics, clients, step):
    """Metrics of a server that has observed a record of each kind."""
    metrics.follow_clients(clients)
    for record in (
        step(),
        EVALUATION,
        ClientRecord(1.0, 1, "a", "joined", "it is new", 9, left_out={"damaged": 2}),
        ClientRecord(1.0, 1, "c", "lost", "no answer within 30 s", cause="timeout"),
        AbortRecord(1.0, 1, 2, 1, "client c was lost", cause="timeout"),
        SkippedRecord(1.0, 1, {"c": 4, "d": 5}),
        CheckpointRecord(1234.5, 1, 0.1),
        CheckpointRecord(1240.0, 2, 0.1, "disk full"),
        FinishRecord(1.0, 2, "FINISHED", ""),
    ):
        metrics.observe(record)
    metrics.count_wire_bytes("sent", "parameters", 100)
    metrics.count_refused_client("impostor")
    metrics.count_ignored_answer("late")
    metrics.set_heartbeat(1300.0)
    metrics.set_phase(ServerPhase.TRAINING)
    return metrics


def surface(registry):
    """Metric name -> type and labels, of the project's own metrics."""
    return {
        metric.name: (
            metric.type,
            {label for sample in metric.samples for label in sample.labels} - {"le"},
        )
        for metric in registry.collect()
        if metric.name.startswith("pslgs_")
    }


def test_names_types_and_labels_of_a_server_are_frozen(busy, registry):
    assert surface(registry) == SERVER


def test_names_types_and_labels_of_a_client_are_frozen(registry):
    ClientMetrics(registry)

    assert surface(registry) == CLIENT


def test_every_metric_says_what_it_means_and_in_which_unit(busy, registry):
    ClientMetrics(registry)
    for metric in registry.collect():
        assert metric.documentation
        if "_seconds" in metric.name:
            assert "seconds" in metric.documentation, metric.name


@pytest.mark.parametrize("expose", [generate_latest, generate_openmetrics], ids=["text", "OpenMetrics"])
def test_the_exposition_has_no_series_of_creation_times(busy, registry, expose):
    text = expose(registry).decode()

    assert "_created" not in text
    assert "pslgs_steps_total 1.0" in text
    assert (
        'pslgs_job_info{architecture="resnet18",cut_layer="layer1",name="cifar10",strategy="Global"} 1.0'
        in text
    )


def test_the_memory_of_the_process_is_shown(registry):
    assert registry.get_sample_value("process_resident_memory_bytes") > 1e6


def test_two_servers_in_one_process_do_not_mix(step):
    one, other = ProcessRegistry(), ProcessRegistry()
    ServerMetrics(one, SERIES).observe(step())
    ServerMetrics(other, SERIES)

    assert one.get_sample_value("pslgs_steps_total") == 1
    assert other.get_sample_value("pslgs_steps_total") == 0


@pytest.mark.parametrize(
    ("sample", "labels", "value"),
    [
        ("pslgs_samples_total", {}, 8),
        ("pslgs_step_seconds_sum", {"phase": "server"}, 0.1),
        ("pslgs_batch_deviation", {}, 0.2),
        ("pslgs_batch_deviation_bound", {"confidence": "0.99"}, 0.5),
        ("pslgs_active_clients", {}, 2),
        ("pslgs_clients", {"state": "live"}, 2),
        ("pslgs_clients", {"state": "lost"}, 1),
        ("pslgs_quorum_clients", {}, 1),
        ("pslgs_phase", {"phase": "Training"}, 1),
        ("pslgs_phase", {"phase": "Starting"}, 0),
        ("pslgs_evaluation_timestamp_seconds", {}, 1.0),
        ("pslgs_client_samples_total", {"client": "a"}, 5),
        ("pslgs_client_remaining_samples", {"client": "b"}, 9),
        ("pslgs_client_response_seconds_sum", {"client": "a", "phase": "backward"}, 0.2),
        ("pslgs_client_evaluation_accuracy", {"client": "a"}, 0.75),
        ("pslgs_data_left_out", {"client": "a", "reason": "damaged"}, 2),
        ("pslgs_evaluation_metric", {"metric": "MacroF1"}, 0.7),
        ("pslgs_class_evaluation_metric", {"class": "cat", "metric": "Recall"}, 0.25),
        ("pslgs_class_evaluation_metric", {"class": "dog", "metric": "F1"}, 0.6),
        ("pslgs_client_evaluation_metric", {"client": "a", "metric": "MacroF1"}, 0.6),
        ("pslgs_wire_bytes_total", {"direction": "sent", "kind": "parameters"}, 100),
        ("pslgs_steps_aborted_total", {"reason": "timeout"}, 1),
        ("pslgs_clients_lost_total", {"reason": "timeout"}, 1),
        ("pslgs_clients_refused_total", {"reason": "impostor"}, 1),
        ("pslgs_answers_ignored_total", {"reason": "late"}, 1),
        ("pslgs_samples_skipped_total", {}, 9),
        ("pslgs_training_loss", {}, 2.3),
        ("pslgs_evaluation_accuracy", {}, 0.75),
        ("pslgs_epochs", {}, 3),
        ("pslgs_checkpoint_timestamp_seconds", {}, 1234.5),
        ("pslgs_checkpoint_failures_total", {}, 1),
        ("pslgs_heartbeat_timestamp_seconds", {}, 1300.0),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_values_are_those_of_the_records(busy, registry, sample, labels, value):
    assert registry.get_sample_value(sample, labels) == pytest.approx(value)


@pytest.mark.parametrize(
    "name",
    [
        "pslgs_batch_deviation",
        "pslgs_evaluation_accuracy",
        "pslgs_checkpoint_timestamp_seconds",
        "pslgs_evaluation_timestamp_seconds",
        "pslgs_epoch",
    ],
)
def test_an_unknown_value_has_no_sample(metrics, registry, name):
    assert registry.get_sample_value(name) is None


def test_a_task_without_classes_shows_no_deviation(metrics, registry, step):
    metrics.observe(step(deviation=None, deviation_expected=None, deviation_bound=None))

    assert registry.get_sample_value("pslgs_batch_deviation") is None
    assert registry.get_sample_value("pslgs_training_loss") == 2.3


def test_a_loss_that_is_nan_is_shown_as_nan(metrics, registry, step):
    metrics.observe(step(loss=math.nan))

    assert math.isnan(registry.get_sample_value("pslgs_training_loss"))


def clients_with_series(registry):
    return {
        sample.labels["client"]
        for metric in registry.collect()
        for sample in metric.samples
        if "client" in sample.labels and metric.name != "pslgs_client_faults"
    }


def test_faults_of_clients_are_counted_by_name_up_to_the_limit_and_kept(metrics, registry):
    for client, cause in (("a", "timeout"), ("a", "violation"), ("b", "disconnected"), ("c", "excluded")):
        metrics.observe(ClientRecord(1.0, 1, client, "lost", "…", cause=cause))
    metrics.observe(ClientRecord(1.0, 1, "d", "lost", "…", cause="timeout"))
    metrics.observe(ClientRecord(1.0, 1, "a", "lost", "…", cause="violation"))

    def counted(client, reason):
        labels = {"client": client, "reason": reason}
        return registry.get_sample_value("pslgs_client_faults_total", labels)

    assert [counted("a", "timeout"), counted("a", "violation"), counted("c", "excluded")] == [1, 2, 1]
    assert counted("b", "disconnected") is None
    assert counted("d", "timeout") is None


def test_the_series_of_a_lost_client_are_removed_and_come_back_with_it(busy, clients, registry, step):
    clients.states = {"live": ("b",), "lost": ("a", "c")}
    busy.observe(ClientRecord(1.0, 1, "a", "lost", "no answer", cause="timeout"))
    busy.observe(step())
    assert clients_with_series(registry) == {"b"}

    clients.states = {"live": ("a", "b"), "lost": ("c",)}
    busy.observe(ClientRecord(1.0, 1, "a", "joined", ""))
    assert clients_with_series(registry) == {"a", "b"}


def test_clients_and_their_remaining_samples_are_looked_up_when_metrics_are_read(busy, clients, registry):
    clients.states, clients.left = {"live": ("a",), "lost": ()}, {"a": 3}

    assert registry.get_sample_value("pslgs_clients", {"state": "lost"}) == 0
    assert registry.get_sample_value("pslgs_clients", {"state": "live"}) == 1
    assert registry.get_sample_value("pslgs_client_remaining_samples", {"client": "a"}) == 3


def test_clients_beyond_the_limit_have_no_series_but_count_in_the_totals(metrics, registry, step):
    metrics.follow_clients(FakeClients({"live": tuple("abcd"), "lost": ()}))
    metrics.observe(step(allocation=dict.fromkeys("abcd", (0, 1)), response_seconds={}))

    assert clients_with_series(registry) == {"a", "b"}
    assert registry.get_sample_value("pslgs_active_clients") == 4


def test_an_evaluation_replaces_the_accuracies_of_the_one_before(busy, registry):
    busy.observe(EvaluationRecord(2.0, 1, 1, 10, 0.5, 0.8, {"b": ClientEvaluation(10, 0.5, 0.8)}, ("a",)))

    assert registry.get_sample_value("pslgs_client_evaluation_accuracy", {"client": "a"}) is None
    assert registry.get_sample_value("pslgs_client_evaluation_accuracy", {"client": "b"}) == 0.8


def test_an_undefined_metric_and_those_that_were_not_chosen_have_no_series_of_clients(busy, registry):
    assert registry.get_sample_value("pslgs_evaluation_metric", {"metric": "AUROC"}) is None
    labels = {"client": "a", "metric": "AUROC"}
    assert registry.get_sample_value("pslgs_client_evaluation_metric", labels) is None


def test_many_classes_have_no_series_of_their_own(metrics, registry):
    many = tuple(ClassEvaluation(str(number), 1, 1.0, 1.0, 1.0) for number in range(CLASS_SERIES + 1))
    metrics.observe(replace(EVALUATION, details=EvaluationDetails(many)))
    [of_classes] = [each for each in registry.collect() if each.name == "pslgs_class_evaluation_metric"]
    assert of_classes.samples == []


@pytest.mark.parametrize(
    ("counter", "reason"),
    [
        ("clients_lost", "disconnected"),
        ("steps_aborted", "client_lost"),
        ("clients_refused", "Impostor"),
    ],
    ids=["lost", "aborted", "refused"],
)
def test_a_known_reason_is_counted_from_zero(metrics, registry, counter, reason):
    assert registry.get_sample_value(f"pslgs_{counter}_total", {"reason": reason}) == 0


def test_the_number_of_series_by_reason_is_bounded(metrics, registry):
    for number in range(100):
        metrics.count_refused_client(f"reason {number}")

    [refused] = [metric for metric in registry.collect() if metric.name == "pslgs_clients_refused"]
    assert len(refused.samples) == 32
    assert registry.get_sample_value("pslgs_clients_refused_total", {"reason": "other"}) == 100 - 31 + len(
        REFUSAL_REASONS
    )


def test_a_client_counts_its_three_durations(registry):
    client = ClientMetrics(registry)
    client.observe_forward(0.5)
    client.observe_backward(0.25)
    client.observe_load(0.125)

    for name, seconds in (("forward", 0.5), ("backward", 0.25), ("load", 0.125)):
        assert registry.get_sample_value(f"pslgs_client_{name}_seconds_sum") == seconds


def left_out(registry, client: str, reason: str) -> float | None:
    return registry.get_sample_value("pslgs_data_left_out", {"client": client, "reason": reason})


def test_what_clients_left_out_when_they_joined_is_shown_until_they_are_lost(metrics, registry):
    metrics.follow_clients(FakeClients({"live": ("a", "b"), "lost": ()}))
    for counts in ({"damaged": 2, "hidden": 5}, {"damaged": 3}):
        metrics.observe(ClientRecord(1.0, 0, "a", "joined", "", 8, left_out=counts))
    metrics.observe(ClientRecord(1.0, 0, "b", "joined", "", 8))
    assert (left_out(registry, "a", "damaged"), left_out(registry, "a", "hidden")) == (3, None)
    assert left_out(registry, "b", "damaged") is None

    metrics.observe(ClientRecord(2.0, 0, "a", "lost", "no answer"))
    assert left_out(registry, "a", "damaged") is None
