"""Prometheus series of a server: progress, quality, faults and clients."""

from collections.abc import Collection, Iterable
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, ProcessCollector, Summary

from pslgs.telemetry.client_view import LOST, STATES, ClientView, NoClients
from pslgs.telemetry.records import (
    AbortRecord,
    CheckpointRecord,
    ClientRecord,
    EvaluationRecord,
    SkippedRecord,
    StepRecord,
)
from pslgs.telemetry.status import Phase

SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class ProcessRegistry(CollectorRegistry):
    """A registry that includes memory, CPU time and open files of the process, and omits ``_created`` series.

    The library adds a ``_created`` series to every counter, summary and histogram, and allows to disable
    them only for the whole interpreter.
    """

    def __init__(self) -> None:
        super().__init__()
        ProcessCollector(registry=self)

    def collect(self) -> Iterable[Metric]:
        """Yield all metrics, without ``_created``."""
        for metric in super().collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric


class LatestGauge(Gauge):
    """A gauge that has no sample until its value is set, where the library would show 0.

    A job without classes has no deviation, and a time of 0 would mean a checkpoint in 1970.
    """

    _known = False

    def show(self, value: float | None) -> None:
        """Set the value; None does not change it."""
        if value is not None:
            self._known = True
            self.set(value)

    def collect(self) -> Iterable[Metric]:
        """Yield the gauge, without a sample until its value is set."""
        for metric in super().collect():
            if not self._known:
                metric.samples = []
            yield metric


PHASES = ("forward_wait", "server", "backward_wait", "update")


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
        for phase in PHASES:
            self._seconds.labels(phase)
        self._epoch = LatestGauge("pslgs_epoch", "Number of the current epoch, from 1", registry=registry)
        Gauge("pslgs_epochs", "Number of epochs of the job", registry=registry).set(epochs)
        self._phase = Gauge(
            "pslgs_phase", "1 for the current phase of the run, 0 for others", ["phase"], registry=registry
        )
        self.phase(Phase.STARTING)

    def phase(self, current: Phase) -> None:
        """Set the phase of the run."""
        for phase in Phase:
            self._phase.labels(phase.value).set(phase is current)

    def step(self, record: StepRecord) -> None:
        """Count a step."""
        self._steps.inc()
        self._samples.inc(record.batch_size)
        self._epoch.show(record.epoch)
        for phase, seconds in record.seconds.items():
            self._seconds.labels(phase).observe(seconds)


CONFIDENCE = "0.99"


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
        self._evaluated = latest(
            "pslgs_evaluation_timestamp_seconds",
            "Time at which the last evaluation ended, as Unix time in seconds",
        )

    def step(self, record: StepRecord) -> None:
        """Set the values of a step's global batch."""
        self._deviation.show(record.deviation)
        self._expected.show(record.deviation_expected)
        if record.deviation_bound is not None:
            self._bound.labels(CONFIDENCE).set(record.deviation_bound)
        self._batch_size.show(record.batch_size)
        self._active.show(len(record.allocation))
        self._training_loss.show(record.loss)

    def evaluation(self, record: EvaluationRecord) -> None:
        """Set the loss and accuracy of an evaluation over all samples."""
        self._evaluation_loss.show(record.loss)
        self._accuracy.show(record.accuracy)
        self._evaluated.show(record.time)


REASONS_LIMIT = 32
LOST_REASONS = ("absent", "disconnected", "non_finite", "replaced", "timeout")
ABORTED = ("client_lost", "diverged", "non_finite", "stopped")
REFUSED = (
    "ClassesMismatch",
    "ImplausibleClaim",
    "Impostor",
    "JobMismatch",
    "ProtocolViolation",
    "ShapeMismatch",
    "TimeoutError",
    "TryLater",
    "Unidentified",
    "VersionMismatch",
)
IGNORED = ("late", "replayed", "unasked")
"""Known reasons, whose series exist from the start with the value 0.

Prometheus cannot detect the first increase of a series that begins with 1.
"""


class ReasonCounter:
    """A counter by reason, with at most `REASONS_LIMIT` reasons; further ones are counted as ``other``."""

    def __init__(self, name: str, what: str, known: Collection[str], registry: CollectorRegistry) -> None:
        self._counter = Counter(name, what, ["reason"], registry=registry)
        self._reasons = {"other", *known}
        for reason in self._reasons:
            self._counter.labels(reason)

    def count(self, reason: str) -> None:
        """Increment the counter of a reason."""
        if len(self._reasons) < REASONS_LIMIT:
            self._reasons.add(reason)
        self._counter.labels(reason if reason in self._reasons else "other").inc()


class FaultSeries:
    """Aborted steps, lost and refused clients, skipped samples, checkpoints."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def by_reason(name: str, what: str, known: Collection[str]) -> ReasonCounter:
            return ReasonCounter(name, what, known, registry)

        self.refused = by_reason("pslgs_clients_refused", "Connections of clients that were refused", REFUSED)
        self.ignored = by_reason(
            "pslgs_answers_ignored",
            "Answers of clients that were ignored: late, replayed or unasked",
            IGNORED,
        )
        self._aborted = by_reason("pslgs_steps_aborted", "Aborted attempts at a step", ABORTED)
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

    def client(self, record: ClientRecord) -> None:
        """Count a lost client; records of clients that joined are ignored."""
        if record.change == "lost":
            self._lost.count(record.cause)

    def abort(self, record: AbortRecord) -> None:
        """Count an aborted attempt at a step."""
        self._aborted.count(record.cause)

    def skipped(self, record: SkippedRecord) -> None:
        """Count samples that were not used in an epoch."""
        self._skipped.inc(sum(record.samples.values()))

    def checkpoint(self, record: CheckpointRecord) -> None:
        """Set the time of the last checkpoint, or count a failure."""
        if record.error is None:
            self._checkpoint.show(record.time)
        else:
            self._failures.inc()


EXCHANGES = ("forward", "backward")


class ClientSeries:
    """Number of clients by state, and series of single clients for at most ``limit`` live clients."""

    def __init__(self, registry: CollectorRegistry, quorum: int, limit: int) -> None:
        self._limit = limit
        self._clients: ClientView = NoClients()
        self._shown: set[str] = set()
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
        self.follow(self._clients)

    def follow(self, clients: ClientView) -> None:
        """Set the clients whose number and remaining samples are looked up whenever the metrics are read."""
        self._clients = clients
        for state in STATES:
            self._count.labels(state).set_function(partial(clients.count, state))

    def step(self, record: StepRecord) -> None:
        """Count the samples of a step by client, and observe response times."""
        for client in filter(self._admit, record.allocation):
            self._samples.labels(client).inc(record.allocation[client][1])
        for client in filter(self._admit, record.response_seconds):
            for phase, seconds in zip(EXCHANGES, record.response_seconds[client], strict=True):
                self._seconds.labels(client, phase).observe(seconds)

    def evaluation(self, record: EvaluationRecord) -> None:
        """Set the accuracy of clients in an evaluation, in place of that of earlier evaluations."""
        self._accuracy.clear()
        for client in filter(self._admit, record.clients):
            accuracy = record.clients[client].accuracy
            if accuracy is not None:
                self._accuracy.labels(client).set(accuracy)

    def change(self, record: ClientRecord) -> None:
        """Add the series of a client that joined, or remove those of a lost one."""
        if record.change != LOST:
            self._admit(record.client)
        elif record.client in self._shown:
            self._remove(record.client)

    def _admit(self, client: str) -> bool:
        if client in self._shown:
            return True
        if len(self._shown) >= self._limit or not self._clients.is_live(client):
            return False
        self._shown.add(client)
        self._remaining.labels(client).set_function(partial(self._clients.remaining, client))
        return True

    def _remove(self, client: str) -> None:
        self._shown.discard(client)
        for series in (self._samples, self._remaining, self._accuracy):
            series.remove(client)
        for phase in EXCHANGES:
            self._seconds.remove(client, phase)
