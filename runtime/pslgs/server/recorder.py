"""Records the events of a run in journal, metrics, status and log."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from prometheus_client import CollectorRegistry

from pslgs.data.left_out import Reason as LeftOutReason
from pslgs.data.left_out import in_words
from pslgs.server.options import ServerOptions
from pslgs.spec import ServerPhase
from pslgs.spec.exit_codes import ExitCode
from pslgs.spec.job import SplitTrainingJob
from pslgs.spec.metrics import write_metric
from pslgs.telemetry.client_view import ClientNames, ClientView, FaultView
from pslgs.telemetry.journal import FILE_NAME, Journal
from pslgs.telemetry.journal_writer import JournalWriter
from pslgs.telemetry.metrics import JobLabels, JobSeries, ServerMetrics
from pslgs.telemetry.records import (
    AbortRecord,
    CheckpointRecord,
    ClientRecord,
    EvaluationRecord,
    FinishRecord,
    Record,
    SkippedRecord,
    WeightsRecord,
)
from pslgs.telemetry.status import Status, kept_figures, next_status, resumed_status

EXCLUDED_SHOWN = 10
"""Excluded clients whose reason the status shows; it lists the names of all of them."""

_logger = logging.getLogger(__name__)


class RunRecorder:
    """Writes each record to the journal, the metrics, the status and the log.

    Attributes:
        status: What /status shows.
        now: Returns the time of records, Unix time in seconds.
    """

    def __init__(
        self, journal: Journal, metrics: ServerMetrics, status: Status, now: Callable[[], float]
    ) -> None:
        self.status = status
        self.now = now
        self.metrics = metrics
        self._initial = status
        self._journal = journal
        self._writer = JournalWriter(journal, metrics)
        self._counted: Counter[tuple[str, str]] = Counter()
        self._excluded = 0

    def progress(self) -> dict[str, Any]:
        """Return what a checkpoint contains of the records, as JSON: figures, and bytes of the journal."""
        self._writer.flush()
        return {"figures": kept_figures(self.status), "journal_bytes": self._journal.size}

    def resume_after(self, step: int, progress: object) -> None:
        """Remove the records after the checkpoint of ``step``, because these steps will be repeated.

        Args:
            step: Step of the checkpoint; 0 without one.
            progress: Result of `progress` for that checkpoint; anything else counts as nothing.

        Raises:
            OSError: the journal cannot be read or written.
        """
        kept = progress if isinstance(progress, Mapping) else {}
        size = kept.get("journal_bytes")
        records = self._journal.truncate_after(step, size if isinstance(size, int) else None)
        resumed = resumed_status(self._initial, records, kept.get("figures"))
        self.status = replace(
            resumed,
            heartbeat=self.status.heartbeat,
            notice=self.status.notice,
            job_uid=self.status.job_uid,
            faults=self.status.faults,
        )

    def write(self, record: Record) -> None:
        """Write a record; the journal gets it later if its disk is full."""
        self._writer.append(record)
        self.metrics.observe(record)
        self.status = next_status(self.status, record)
        self.metrics.set_phase(self.status.phase)
        _log(record)

    def follow_clients(self, clients: ClientView) -> None:
        """Report these clients in the metrics and in the status from now on."""
        self.metrics.follow_clients(clients)
        self.status = replace(self.status, clients=ClientNames(clients))

    def follow_faults(self, faults: FaultView) -> None:
        """Show these faults of clients in the status from now on."""
        self.status = replace(self.status, faults=faults)

    def beat(self) -> None:
        """Record a heartbeat of the event loop."""
        now = self.now()
        self.metrics.set_heartbeat(now)
        self.status = replace(self.status, heartbeat=now)

    def set_phase(self, phase: ServerPhase, steps: int, message: str | None) -> None:
        """Set phase, total number of steps and message of the status; None keeps the present message."""
        if message is not None or phase is not self.status.phase or steps != self.status.steps:
            self.status = replace(self.status, phase=phase, steps=steps, message=message or "")
            self.metrics.set_phase(phase)

    def set_progress(self, fraction: float) -> None:
        """Set the fraction of the training that is done, 0 … 1."""
        if fraction != self.status.fraction:
            self.status = replace(self.status, fraction=fraction)

    def finish(self, step: int, exit_code: ExitCode, message: str, *, early: bool = False) -> None:
        """Record that the run ended after ``step``; ``early`` by early stopping."""
        self.write(FinishRecord(self.now(), step, exit_code.name, message, early))

    def close(self) -> None:
        """Close the journal."""
        self._writer.close()

    def notice(self, text: str) -> None:
        """Show a notice in the status for the whole run, and log it."""
        self.status = replace(self.status, notice="; ".join(filter(None, (self.status.notice, text))))
        _logger.warning("%s", text)

    def exclude(self, client: str, reason: str) -> None:
        """Show that a client is excluded: the first ones in the status, all of them in the log."""
        text = f"client {client} is excluded until the server is restarted: {reason}"
        self._excluded += 1
        if self._excluded <= EXCLUDED_SHOWN:
            self.notice(text)
        else:
            _logger.warning("%s", text)

    def update_byte_counters(self, counts: Counter[tuple[str, str]]) -> None:
        """Update the metrics to the bytes since the start, by direction and kind."""
        for (direction, kind), count in (counts - self._counted).items():
            self.metrics.count_wire_bytes(direction, kind, count)
        self._counted = counts


def _log(record: Record) -> None:
    if isinstance(record, ClientRecord) and record.left_out:
        level = logging.WARNING if LeftOutReason.DAMAGED in record.left_out else logging.INFO
        _logger.log(level, "client %s leaves out %s", record.client, in_words(record.left_out))
    match record:
        case ClientRecord(step=step, client=client, change=change, reason=reason):
            _logger.info("after step %d client %s %s: %s", step, client, change, reason)
        case AbortRecord(step=step, attempt=attempt, reason=reason):
            _logger.info("attempt %d at step %d was abandoned: %s", attempt, step, reason)
        case SkippedRecord(epoch=epoch, samples=samples):
            _logger.warning(
                "epoch %d ended without %d samples of lost clients or skipped steps",
                epoch,
                sum(samples.values()),
            )
        case CheckpointRecord(step=step, error=str(error)):
            _logger.warning("the checkpoint of step %d could not be written: %s", step, error)
        case EvaluationRecord(epoch=epoch, metrics=metrics):
            shown = ", ".join(f"{name} {write_metric(name, value)}" for name, value in metrics.items())
            _logger.info("evaluation after epoch %d: %s", epoch, shown)
        case WeightsRecord(message=message):
            _logger.info("%s", message)
        case FinishRecord(outcome=outcome, message=message):
            _logger.info("%s: %s", outcome, message)


def open_recorder(job: SplitTrainingJob, options: ServerOptions, registry: CollectorRegistry) -> RunRecorder:
    """Open journal, metrics and status of a new process; only the end of an existing journal is read.

    Raises:
        OSError: the journal cannot be opened or written.
    """
    spec, expected = job.spec, options.expected_clients
    labels = JobLabels(
        job.metadata.name, spec.model.architecture, spec.model.cut_layer or "", spec.sampling.strategy
    )
    quorum = spec.fault_tolerance.quorum(expected)
    metrics = ServerMetrics(registry, JobSeries(labels, spec.epochs, quorum, options.client_series))
    metric = spec.chosen_metric if spec.data.evaluation else ""
    initial = Status(time.time(), spec.epochs, expected, metric=metric, job_uid=options.job_uid)
    return RunRecorder(Journal(options.run / FILE_NAME), metrics, initial, time.time)
