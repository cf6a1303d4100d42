"""Record what happens: journal, metrics, status and log."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from prometheus_client import CollectorRegistry

from pslgs.server.options import ServerOptions
from pslgs.spec.exit_codes import ExitCode
from pslgs.spec.job import SplitTrainingJob
from pslgs.telemetry.client_view import ClientNames, ClientView
from pslgs.telemetry.journal import FILE_NAME, Journal
from pslgs.telemetry.metrics import JobLabels, JobSeries, ServerMetrics
from pslgs.telemetry.records import (
    AbortRecord,
    CheckpointRecord,
    ClientRecord,
    EvaluationRecord,
    FinishRecord,
    Record,
    SkippedRecord,
)
from pslgs.telemetry.status import Phase, Status, kept_figures, next_status, resumed_status

_logger = logging.getLogger(__name__)


class RunRecorder:
    """Keeps the three accounts of a run equal.

    Attributes:
        status: What /status shows.
        now: The clock of all records, Unix time in seconds.
    """

    def __init__(
        self, journal: Journal, metrics: ServerMetrics, status: Status, now: Callable[[], float]
    ) -> None:
        self.status = status
        self.now = now
        self.metrics = metrics
        self._fresh = status
        self._journal = journal
        self._counted: Counter[tuple[str, str]] = Counter()

    def progress(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of the accounts, as JSON: figures, and bytes of the journal."""
        return {"figures": kept_figures(self.status), "journal_bytes": self._journal.size}

    def go_on_after(self, step: int, progress: Mapping[str, Any] | None) -> None:
        """Forget what happened after the checkpoint of ``step``, because it will happen again.

        Args:
            step: Step of the checkpoint; 0 where there is none.
            progress: `progress` when it was made; None where an earlier version made it.

        Raises:
            OSError: the journal cannot be read or written.
        """
        kept = progress if isinstance(progress, Mapping) else {}
        records = self._journal.truncate_after(step, kept.get("journal_bytes"))
        resumed = resumed_status(self._fresh, records, kept.get("figures"))
        self.status = replace(resumed, heartbeat=self.status.heartbeat, notice=self.status.notice)

    def write(self, record: Record) -> None:
        """Take in a record."""
        self._journal.append(record)
        self.metrics.observe(record)
        self.status = next_status(self.status, record)
        self.metrics.set_phase(self.status.phase)
        _log(record)

    def follow_clients(self, clients: ClientView) -> None:
        """Show these clients from now on, in the metrics and in the status."""
        self.metrics.follow_clients(clients)
        self.status = replace(self.status, clients=ClientNames(clients))

    def beat(self) -> None:
        """Note that the event loop runs."""
        now = self.now()
        self.metrics.set_heartbeat(now)
        self.status = replace(self.status, heartbeat=now)

    def show(self, phase: Phase, steps: int, message: str | None) -> None:
        """Show what is under way, how many steps there are in all, and what is lacking, if anything."""
        if message is not None or phase is not self.status.phase or steps != self.status.steps:
            self.status = replace(self.status, phase=phase, steps=steps, message=message or "")
            self.metrics.set_phase(phase)

    def finish(self, step: int, exit_code: ExitCode, message: str) -> None:
        """Take in that the run ended after ``step``."""
        self.write(FinishRecord(self.now(), step, exit_code.name, message))

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()

    def notice(self, text: str) -> None:
        """Tell of something that is so for the whole run."""
        self.status = replace(self.status, notice=text)
        _logger.warning("%s", text)

    def count_bytes(self, so_far: Counter[tuple[str, str]]) -> None:
        """Bring the byte counters up to date."""
        for (direction, kind), count in (so_far - self._counted).items():
            self.metrics.count_wire_bytes(direction, kind, count)
        self._counted = so_far


def _log(record: Record) -> None:
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
        case EvaluationRecord(epoch=epoch, loss=loss, accuracy=accuracy):
            _logger.info("evaluation after epoch %d: loss %.4f, accuracy %s", epoch, loss, accuracy)
        case FinishRecord(outcome=outcome, message=message):
            _logger.info("%s: %s", outcome, message)


def open_recorder(job: SplitTrainingJob, options: ServerOptions, registry: CollectorRegistry) -> RunRecorder:
    """Open the accounts of a process that starts; of an earlier journal only the end is read.

    Raises:
        OSError: the journal cannot be opened or written.
    """
    spec, expected = job.spec, options.expected_clients
    labels = JobLabels(
        job.metadata.name, spec.model.architecture, spec.model.cut_layer or "", spec.sampling.strategy
    )
    quorum = spec.fault_tolerance.quorum(expected)
    metrics = ServerMetrics(registry, JobSeries(labels, spec.epochs, quorum, options.client_series))
    fresh = Status(started=time.time(), epochs=spec.epochs, clients_expected=expected)
    return RunRecorder(Journal(options.run / FILE_NAME), metrics, fresh, time.time)
