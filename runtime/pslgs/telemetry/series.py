"""Prometheus series of a server: progress, quality, faults and clients."""

from collections.abc import Collection, Mapping
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary

from pslgs.spec.server_phase import ServerPhase
from pslgs.telemetry.client_view import LOST, STATES, ClientView, NoClients
from pslgs.telemetry.prometheus import SECONDS_BUCKETS, LatestGauge, ReasonCounter
from pslgs.telemetry.records import (
    AbortRecord,
    CheckpointRecord,
    ClientRecord,
    EvaluationRecord,
    SkippedRecord,
    StepRecord,
)

STEP_PHASES = ("forward_wait", "server", "backward_wait", "update")
RESPONSE_PHASES = ("forward", "backward")
CONFIDENCE = "0.99"
CLASS_SERIES = 20
"""Number of classes up to which single classes have series."""

# Known reasons, whose series exist from the start with the value 0: Prometheus cannot detect the first
# increase of a series that begins with 1.
LOST_REASONS = ("absent", "disconnected", "excluded", "non_finite", "replaced", "timeout", "violation")
CLIENT_FAULTS = frozenset({"excluded", "non_finite", "timeout", "violation"})
"""Reasons of losses that the client itself caused."""

ABORT_REASONS = ("client_lost", "diverged", "non_finite", "stopped")
REFUSAL_REASONS = (
    "ClassesMismatch",
    "Excluded",
    "Flood",
    "ImplausibleClaim",
    "Impostor",
    "JobMismatch",
    "NoHello",
    "ProtocolViolation",
    "ShapeMismatch",
    "TimeoutError",
    "TryLater",
    "Unidentified",
    "UnusableClient",
    "VersionMismatch",
)
IGNORED_REASONS = ("late", "replayed", "unasked")


class ProgressSeries:
    """Steps, samples, epoch, phase and durations; counters start at 0 in every process."""

    def __init__(self, registry: CollectorRegistry, epochs: int) -> None:
        self._steps = Counter("pslgs_steps", "Committed steps", registry=registry)
        self._samples = Counter("pslgs_samples", "Samples in committed steps", registry=registry)
        self._seconds = Histogram(
            "pslgs_step_seconds",
            "Duration of the phases of a step in seconds",
            ["phase"],
            buckets=SECONDS_BUCKETS,
            registry=registry,
        )
        for phase in STEP_PHASES:
            self._seconds.labels(phase)
        self._epoch = LatestGauge("pslgs_epoch", "Number of the current epoch, from 1", registry=registry)
        Gauge("pslgs_epochs", "Number of epochs of the job", registry=registry).set(epochs)
        self._phase = Gauge(
            "pslgs_phase", "1 for the current phase of the run, 0 for others", ["phase"], registry=registry
        )
        self.set_phase(ServerPhase.STARTING)

    def set_phase(self, current: ServerPhase) -> None:
        """Set the phase of the run."""
        for phase in ServerPhase:
            self._phase.labels(phase.value).set(phase is current)

    def observe_step(self, record: StepRecord) -> None:
        """Count a step."""
        self._steps.inc()
        self._samples.inc(record.batch_size)
        self._epoch.set_known(record.epoch)
        for phase, seconds in record.seconds.items():
            self._seconds.labels(phase).observe(seconds)


class QualitySeries:
    """Deviation, size and loss of the last global batch, and results of the last evaluation."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def latest(name: str, what: str) -> LatestGauge:
            return LatestGauge(name, what, registry=registry)

        self._deviation = latest(
            "pslgs_batch_deviation",
            "L1 distance (0 to 2) between the class proportions of a global batch and of the pooled data",
        )
        self._expected = latest(
            "pslgs_batch_deviation_expected",
            "Expected value of the batch deviation under uniform sampling (0 to 2)",
        )
        self._bound = Gauge(
            "pslgs_batch_deviation_bound",
            "Upper bound of the batch deviation with this confidence (0 to 2)",
            ["confidence"],
            registry=registry,
        )
        self._batch_size = latest("pslgs_global_batch_size", "Number of samples in the global batch")
        self._active = latest("pslgs_active_clients", "Number of clients that contribute to the global batch")
        self._training_loss = latest("pslgs_training_loss", "Mean loss of the global batch")
        self._evaluation_loss = latest("pslgs_evaluation_loss", "Mean loss of the last evaluation")
        self._accuracy = latest("pslgs_evaluation_accuracy", "Accuracy of the last evaluation (0 to 1)")
        self._metrics = Gauge(
            "pslgs_evaluation_metric",
            "Value of a metric in the last evaluation; absent if the samples do not define it",
            ["metric"],
            registry=registry,
        )
        self._of_classes = Gauge(
            "pslgs_class_evaluation_metric",
            "Precision, recall or F1 of a class in the last evaluation (0 to 1), for at most "
            f"{CLASS_SERIES} classes",
            ["class", "metric"],
            registry=registry,
        )
        self._evaluated = latest(
            "pslgs_evaluation_timestamp_seconds",
            "Time at which the last evaluation ended, as Unix time in seconds",
        )

    def observe_step(self, record: StepRecord) -> None:
        """Set the values of a step's global batch."""
        self._deviation.set_known(record.deviation)
        self._expected.set_known(record.deviation_expected)
        if record.deviation_bound is not None:
            self._bound.labels(CONFIDENCE).set(record.deviation_bound)
        self._batch_size.set_known(record.batch_size)
        self._active.set_known(len(record.allocation))
        self._training_loss.set_known(record.loss)

    def observe_evaluation(self, record: EvaluationRecord) -> None:
        """Set the metrics of an evaluation over all samples, in place of those of the last one."""
        self._evaluation_loss.set_known(record.loss)
        self._accuracy.set_known(record.accuracy)
        self._metrics.clear()
        self._of_classes.clear()
        for name, value in record.metrics.items():
            if value is not None:
                self._metrics.labels(name).set(value)
        classes = record.details.classes if record.details else ()
        for each in classes if len(classes) <= CLASS_SERIES else ():
            named = ("Precision", each.precision), ("Recall", each.recall), ("F1", each.f1)
            for name, value in named:
                if value is not None:
                    self._of_classes.labels(each.name, name).set(value)
        self._evaluated.set_known(record.time)


class FaultSeries:
    """Aborted steps, lost and refused clients, skipped samples, checkpoints and records."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def by_reason(name: str, what: str, known: Collection[str]) -> ReasonCounter:
            return ReasonCounter(name, what, known, registry)

        self.refused = by_reason(
            "pslgs_clients_refused", "Connections of clients that were refused", REFUSAL_REASONS
        )
        self.ignored = by_reason(
            "pslgs_answers_ignored",
            "Answers of clients that were ignored: late, replayed or unasked",
            IGNORED_REASONS,
        )
        self._aborted = by_reason("pslgs_steps_aborted", "Aborted attempts at a step", ABORT_REASONS)
        self._lost = by_reason("pslgs_clients_lost", "Losses of clients", LOST_REASONS)
        self._skipped = Counter(
            "pslgs_samples_skipped",
            "Samples of lost clients and skipped steps that were not used in an epoch",
            registry=registry,
        )
        self._checkpoint = LatestGauge(
            "pslgs_checkpoint_timestamp_seconds",
            "Time at which the last checkpoint was written, as Unix time in seconds",
            registry=registry,
        )
        self._failures = Counter(
            "pslgs_checkpoint_failures", "Checkpoints that could not be written", registry=registry
        )
        self.waiting_records = Gauge(
            "pslgs_journal_waiting_records",
            "Records of metrics.jsonl that are kept in memory because they could not be written yet",
            registry=registry,
        )
        self.dropped_records = Counter(
            "pslgs_journal_dropped_records",
            "Records of metrics.jsonl that were dropped because too many could not be written",
            registry=registry,
        )

    def observe_client(self, record: ClientRecord) -> None:
        """Count a lost client; records of clients that joined are ignored."""
        if record.change == "lost":
            self._lost.count(record.cause)

    def observe_abort(self, record: AbortRecord) -> None:
        """Count an aborted attempt at a step."""
        self._aborted.count(record.cause)

    def observe_skipped(self, record: SkippedRecord) -> None:
        """Count samples that were not used in an epoch."""
        self._skipped.inc(sum(record.samples.values()))

    def observe_checkpoint(self, record: CheckpointRecord) -> None:
        """Set the time of the last checkpoint, or count a failure."""
        if record.error is None:
            self._checkpoint.set_known(record.time)
        else:
            self._failures.inc()


class ClientSeries:
    """Number of clients by state, and series of single clients for at most ``limit`` live clients."""

    def __init__(self, registry: CollectorRegistry, quorum: int, limit: int) -> None:
        self._limit = limit
        self._clients: ClientView = NoClients()
        self._with_series: set[str] = set()
        self._count = Gauge(
            "pslgs_clients", "Number of clients of the job by state", ["state"], registry=registry
        )
        Gauge("pslgs_quorum_clients", "Minimum number of live clients for a step", registry=registry).set(
            quorum
        )
        self._samples = Counter(
            "pslgs_client_samples",
            "Samples that a client contributed to committed steps",
            ["client"],
            registry=registry,
        )
        self._remaining = Gauge(
            "pslgs_client_remaining_samples",
            "Samples that a client has not yet contributed in this epoch",
            ["client"],
            registry=registry,
        )
        self._seconds = Summary(
            "pslgs_client_response_seconds",
            "Time from a request to the complete answer of a client in seconds",
            ["client", "phase"],
            registry=registry,
        )
        self._accuracy = Gauge(
            "pslgs_client_evaluation_accuracy",
            "Accuracy of the last evaluation on a client's own data (0 to 1)",
            ["client"],
            registry=registry,
        )
        self._left_out = Gauge(
            "pslgs_data_left_out",
            "Files and samples of a client that are left out of its data, by reason",
            ["client", "reason"],
            registry=registry,
        )
        self._metric = Gauge(
            "pslgs_client_evaluation_metric",
            "Value of the job's metric in the last evaluation on a client's own data",
            ["client", "metric"],
            registry=registry,
        )
        self._client_faults = Counter(
            "pslgs_client_faults",
            "Losses of a client that it caused itself, by reason; kept when it is lost",
            ["client", "reason"],
            registry=registry,
        )
        self._with_faults: set[str] = set()
        self._metric_name = ""
        self.follow(self._clients)

    def follow(self, clients: ClientView) -> None:
        """Set the clients whose number and remaining samples are looked up whenever the metrics are read."""
        self._clients = clients
        for state in STATES:
            self._count.labels(state).set_function(partial(clients.count, state))

    def observe_step(self, record: StepRecord) -> None:
        """Count the samples of a step by client, and observe response times."""
        for client in filter(self._ensure_series, record.allocation):
            self._samples.labels(client).inc(record.allocation[client][1])
        for client in filter(self._ensure_series, record.response_seconds):
            for phase, seconds in zip(RESPONSE_PHASES, record.response_seconds[client], strict=True):
                self._seconds.labels(client, phase).observe(seconds)

    def observe_evaluation(self, record: EvaluationRecord) -> None:
        """Set the results of clients in an evaluation, in place of those of earlier evaluations."""
        self._accuracy.clear()
        self._metric.clear()
        self._metric_name = record.metric
        for client in filter(self._ensure_series, record.clients):
            own = record.clients[client]
            if own.accuracy is not None:
                self._accuracy.labels(client).set(own.accuracy)
            if (value := own.metrics.get(record.metric)) is not None:
                self._metric.labels(client, record.metric).set(value)

    def observe_client(self, record: ClientRecord) -> None:
        """Add the series of a client that joined, or remove those of a lost one and count its fault."""
        if record.change != LOST:
            if self._ensure_series(record.client):
                self._set_left_out(record.client, record.left_out)
            return
        if record.client in self._with_series:
            self._remove_series(record.client)
        if record.cause in CLIENT_FAULTS and len(self._with_faults | {record.client}) <= self._limit:
            self._with_faults.add(record.client)
            self._client_faults.labels(record.client, record.cause).inc()

    def _set_left_out(self, client: str, left_out: Mapping[str, int]) -> None:
        self._left_out.remove_by_labels({"client": client})
        for reason, count in left_out.items():
            self._left_out.labels(client, reason).set(count)

    def _ensure_series(self, client: str) -> bool:
        """Add the series of a live client unless the limit is reached; return whether it has series."""
        if client in self._with_series:
            return True
        if len(self._with_series) >= self._limit or not self._clients.is_live(client):
            return False
        self._with_series.add(client)
        self._remaining.labels(client).set_function(partial(self._clients.remaining, client))
        return True

    def _remove_series(self, client: str) -> None:
        self._with_series.discard(client)
        for series in (self._samples, self._remaining, self._accuracy):
            series.remove(client)
        self._left_out.remove_by_labels({"client": client})
        self._metric.remove(client, self._metric_name)
        for phase in RESPONSE_PHASES:
            self._seconds.remove(client, phase)
