"""Prometheus metrics of a server and of a client."""

from dataclasses import asdict, dataclass
from typing import assert_never

from prometheus_client import CollectorRegistry, Counter, Histogram, Info

from pslgs.spec.server_phase import ServerPhase
from pslgs.telemetry.client_view import ClientView
from pslgs.telemetry.prometheus import SECONDS_BUCKETS, LatestGauge
from pslgs.telemetry.records import (
    AbortRecord,
    CheckpointRecord,
    ClientRecord,
    EvaluationRecord,
    FinishRecord,
    Record,
    SkippedRecord,
    StepRecord,
    WeightsRecord,
)
from pslgs.telemetry.series import ClientSeries, FaultSeries, ProgressSeries, QualitySeries


@dataclass(frozen=True, slots=True)
class JobLabels:
    """Labels of the metric ``pslgs_job_info``, with values from the manifest."""

    name: str
    architecture: str
    cut_layer: str
    strategy: str


@dataclass(frozen=True, slots=True)
class JobSeries:
    """Properties of a job that its metrics show from the start.

    Attributes:
        labels: Labels of ``pslgs_job_info``.
        epochs: Number of epochs of the job.
        quorum: Minimum number of live clients for a step.
        client_series: Maximum number of clients with series of their own; further clients are included in
            totals only.
    """

    labels: JobLabels
    epochs: int
    quorum: int
    client_series: int


class ServerMetrics:
    """The metrics of a server; events that the journal contains are observed through their records."""

    def __init__(self, registry: CollectorRegistry, job: JobSeries) -> None:
        """Register all metrics; a registry can hold one server's metrics."""
        self._progress = ProgressSeries(registry, job.epochs)
        self._quality = QualitySeries(registry)
        self._faults = FaultSeries(registry)
        self._clients = ClientSeries(registry, job.quorum, job.client_series)
        self._wire_bytes = Counter(
            "pslgs_wire_bytes", "Bytes sent and received over gRPC", ["direction", "kind"], registry=registry
        )
        self._heartbeat = LatestGauge(
            "pslgs_heartbeat_timestamp_seconds",
            "Time at which the server's event loop last ran, as Unix time in seconds",
            registry=registry,
        )
        Info("pslgs_job", "Properties of the job", registry=registry).info(asdict(job.labels))

    def observe(self, record: Record) -> None:
        """Update the metrics by a record."""
        match record:
            case StepRecord():
                self._progress.observe_step(record)
                self._quality.observe_step(record)
                self._clients.observe_step(record)
            case EvaluationRecord():
                self._quality.observe_evaluation(record)
                self._clients.observe_evaluation(record)
            case ClientRecord():
                self._faults.observe_client(record)
                self._clients.observe_client(record)
            case AbortRecord():
                self._faults.observe_abort(record)
            case SkippedRecord():
                self._faults.observe_skipped(record)
            case CheckpointRecord():
                self._faults.observe_checkpoint(record)
            case WeightsRecord() | FinishRecord():
                pass
            case _:
                assert_never(record)

    def set_phase(self, phase: ServerPhase) -> None:
        """Set the phase of the run."""
        self._progress.set_phase(phase)

    def follow_clients(self, clients: ClientView) -> None:
        """Set the clients whose number and remaining samples are looked up whenever the metrics are read."""
        self._clients.follow(clients)

    def count_wire_bytes(self, direction: str, kind: str, count: int) -> None:
        """Count transferred bytes.

        Args:
            direction: ``sent`` or ``received``.
            kind: Name of the payload, or ``control``.
            count: Number of bytes.
        """
        self._wire_bytes.labels(direction, kind).inc(count)

    def count_refused_client(self, reason: str) -> None:
        """Count a refused client; ``reason`` is one word, such as the name of the error."""
        self._faults.refused.count(reason)

    def count_ignored_answer(self, reason: str) -> None:
        """Count a message that was ignored; ``reason`` is ``late``, ``replayed`` or ``unasked``."""
        self._faults.ignored.count(reason)

    def set_waiting_records(self, count: int) -> None:
        """Set the number of records that could not be written to the journal yet."""
        self._faults.waiting_records.set(count)

    def count_dropped_records(self, count: int) -> None:
        """Count records that are missing in the journal for good."""
        self._faults.dropped_records.inc(count)

    def set_heartbeat(self, now: float) -> None:
        """Set the time of the last heartbeat of the event loop; ``now`` is Unix time in seconds."""
        self._heartbeat.set_known(now)


class ClientMetrics:
    """The metrics of a client process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._forward = _seconds("pslgs_client_forward_seconds", "Forward pass of a local batch", registry)
        self._backward = _seconds("pslgs_client_backward_seconds", "Backward pass of a local batch", registry)
        self._load = _seconds("pslgs_client_load_seconds", "Loading and transforming a local batch", registry)

    def observe_forward(self, seconds: float) -> None:
        """Observe the duration of a forward pass."""
        self._forward.observe(seconds)

    def observe_backward(self, seconds: float) -> None:
        """Observe the duration of a backward pass."""
        self._backward.observe(seconds)

    def observe_load(self, seconds: float) -> None:
        """Observe the time to load a local batch, whether or not the step waited for it."""
        self._load.observe(seconds)


def _seconds(name: str, what: str, registry: CollectorRegistry) -> Histogram:
    return Histogram(name, f"{what} in seconds", buckets=SECONDS_BUCKETS, registry=registry)
