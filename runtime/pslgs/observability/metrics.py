"""What Prometheus sees of a server and of a client; names, types and labels are frozen by a test."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import assert_never

from prometheus_client import CollectorRegistry, Counter, Histogram, Info

from pslgs.observability.records import (
    AbortRecord,
    CheckpointRecord,
    ClientRecord,
    EvaluationRecord,
    FinishRecord,
    Record,
    SkippedRecord,
    StepRecord,
)
from pslgs.observability.registry import SECONDS_BUCKETS, LatestGauge
from pslgs.observability.series.clients import ClientSeries
from pslgs.observability.series.faults import FaultSeries
from pslgs.observability.series.progress import ProgressSeries
from pslgs.observability.series.quality import QualitySeries
from pslgs.observability.status import Phase


@dataclass(frozen=True, slots=True)
class JobLabels:
    """The labels of ``pslgs_job_info``, all of them from the manifest."""

    name: str
    architecture: str
    cut_layer: str
    strategy: str


@dataclass(frozen=True, slots=True)
class JobSeries:
    """What the metrics of a job say from the start.

    Attributes:
        epochs: Epochs the job trains for.
        quorum: Live clients that a step needs.
        client_series: Clients that get series of their own; further ones count in the totals only.
    """

    labels: JobLabels
    epochs: int
    quorum: int
    client_series: int


class ServerMetrics:
    """The metrics of a server.  What the journal holds comes in as records and no other way."""

    def __init__(self, registry: CollectorRegistry, job: JobSeries) -> None:
        """Register all metrics; one server a registry."""
        self._progress = ProgressSeries(registry, job.epochs)
        self._quality = QualitySeries(registry)
        self._faults = FaultSeries(registry)
        self._clients = ClientSeries(registry, job.quorum, job.client_series)
        self._wire_bytes = Counter(
            "pslgs_wire_bytes", "Bytes sent and received over gRPC", ["direction", "kind"], registry=registry
        )
        self._heartbeat = LatestGauge(
            "pslgs_heartbeat_timestamp_seconds",
            "When the server's event loop last ran, Unix time in seconds",
            registry=registry,
        )
        Info("pslgs_job", "What is being trained", registry=registry).info(asdict(job.labels))

    def observe(self, record: Record) -> None:
        """Take in what a record tells."""
        match record:
            case StepRecord():
                self._progress.step(record)
                self._quality.step(record)
                self._clients.step(record)
            case EvaluationRecord():
                self._quality.evaluation(record)
                self._clients.evaluation(record)
            case ClientRecord():
                self._faults.client(record)
                self._clients.change(record)
            case AbortRecord():
                self._faults.abort(record)
            case SkippedRecord():
                self._faults.skipped(record)
            case CheckpointRecord():
                self._faults.checkpoint(record)
            case FinishRecord():
                pass
            case _:
                assert_never(record)

    def show_phase(self, phase: Phase) -> None:
        """Say what the run is doing."""
        self._progress.phase(phase)

    def set_clients(self, states: Mapping[str, str]) -> None:
        """Say which clients are live and which lost; the series of lost and of other clients are removed."""
        self._clients.set_states(states)

    def set_remaining(self, samples: Mapping[str, int]) -> None:
        """Say how many samples of this epoch each client still has to contribute."""
        self._clients.set_remaining(samples)

    def wire_bytes(self, direction: str, kind: str, count: int) -> None:
        """Count bytes; ``direction`` is sent or received, ``kind`` the payload's name or control."""
        self._wire_bytes.labels(direction, kind).inc(count)

    def client_refused(self, reason: str) -> None:
        """Count a client that was not let in; ``reason`` is one word."""
        self._faults.refused.count(reason)

    def answer_ignored(self, reason: str) -> None:
        """Count a frame that nobody waits for; ``reason`` is late, replayed or unasked."""
        self._faults.ignored.count(reason)

    def heartbeat(self, now: float) -> None:
        """Say that the event loop runs; ``now`` is Unix time in seconds."""
        self._heartbeat.show(now)


class ClientMetrics:
    """The metrics of a client process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._forward = _seconds("pslgs_client_forward_seconds", "Forward pass of a local batch", registry)
        self._backward = _seconds("pslgs_client_backward_seconds", "Backward pass of a local batch", registry)
        self._load = _seconds("pslgs_client_load_seconds", "Loading and transforming a local batch", registry)

    def forward(self, seconds: float) -> None:
        """Count a forward pass."""
        self._forward.observe(seconds)

    def backward(self, seconds: float) -> None:
        """Count a backward pass."""
        self._backward.observe(seconds)

    def load(self, seconds: float) -> None:
        """Count the loading of a local batch, whether or not the step had to wait for it."""
        self._load.observe(seconds)


def _seconds(name: str, what: str, registry: CollectorRegistry) -> Histogram:
    return Histogram(name, f"{what} in seconds", buckets=SECONDS_BUCKETS, registry=registry)
