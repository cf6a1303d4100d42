"""What went wrong, what it cost, and the checkpoints that limit the cost."""

from collections.abc import Collection

from prometheus_client import CollectorRegistry, Counter

from pslgs.observability.records import AbortRecord, CheckpointRecord, ClientRecord, SkippedRecord
from pslgs.observability.registry import LatestGauge

REASONS_LIMIT = 32
LOST = ("absent", "disconnected", "replaced", "timeout")
ABORTED = ("client_lost", "stopped")
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
"""The reasons there are.

Each is counted from 0: of a series that begins with 1, Prometheus can't tell that it grew.
"""


class ReasonCounter:
    """Counts by reason, with a bound on how many reasons there can be; the rest counts as ``other``."""

    def __init__(self, name: str, what: str, known: Collection[str], registry: CollectorRegistry) -> None:
        self._counter = Counter(name, what, ["reason"], registry=registry)
        self._reasons = {"other", *known}
        for reason in self._reasons:
            self._counter.labels(reason)

    def count(self, reason: str) -> None:
        """Count one more."""
        if len(self._reasons) < REASONS_LIMIT:
            self._reasons.add(reason)
        self._counter.labels(reason if reason in self._reasons else "other").inc()


class FaultSeries:
    """Aborted steps, lost and refused clients, skipped samples, checkpoints."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def by_reason(name: str, what: str, known: Collection[str]) -> ReasonCounter:
            return ReasonCounter(name, what, known, registry)

        self.refused = by_reason("pslgs_clients_refused", "Clients that were not let in", REFUSED)
        self.ignored = by_reason("pslgs_answers_ignored", "Answers of clients that nobody waits for", IGNORED)
        self._aborted = by_reason("pslgs_steps_aborted", "Attempts at a step that were given up", ABORTED)
        self._lost = by_reason("pslgs_clients_lost", "Clients that were lost", LOST)
        self._skipped = Counter(
            "pslgs_samples_skipped", "Samples of lost clients that an epoch ended without", registry=registry
        )
        self._checkpoint = LatestGauge(
            "pslgs_checkpoint_timestamp_seconds",
            "When the last checkpoint was written, Unix time in seconds",
            registry=registry,
        )
        self._failures = Counter(
            "pslgs_checkpoint_failures", "Checkpoints that could not be written", registry=registry
        )

    def client(self, record: ClientRecord) -> None:
        """Count a client that was lost; one that joined is no fault."""
        if record.change == "lost":
            self._lost.count(record.cause)

    def abort(self, record: AbortRecord) -> None:
        """Count an attempt that was given up."""
        self._aborted.count(record.cause)

    def skipped(self, record: SkippedRecord) -> None:
        """Count samples that an epoch ended without."""
        self._skipped.inc(sum(record.samples.values()))

    def checkpoint(self, record: CheckpointRecord) -> None:
        """Show a checkpoint's time, or count its failure."""
        if record.error is None:
            self._checkpoint.show(record.time)
        else:
            self._failures.inc()
