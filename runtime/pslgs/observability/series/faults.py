"""Prometheus series of faults: aborted steps, lost and refused clients, skipped samples, checkpoints."""

from collections.abc import Collection

from prometheus_client import CollectorRegistry, Counter

from pslgs.observability.records import AbortRecord, CheckpointRecord, ClientRecord, SkippedRecord
from pslgs.observability.registry import LatestGauge

REASONS_LIMIT = 32
LOST = ("absent", "disconnected", "non_finite", "replaced", "timeout")
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
        self._lost = by_reason("pslgs_clients_lost", "Losses of clients", LOST)
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
