"""The accounts of a run, opened where its checkpoint left them: journal, metrics, status."""

import logging
import time

from prometheus_client import CollectorRegistry

from pslgs.observability.journal import FILE_NAME, Journal, read
from pslgs.observability.metrics import JobLabels, JobSeries, ServerMetrics
from pslgs.observability.status import Status, resumed_status
from pslgs.server.options import ServerOptions
from pslgs.server.scribe import Scribe
from pslgs.spec.job import SplitTrainingJob
from pslgs.training.checkpoint import Checkpoint

_logger = logging.getLogger(__name__)


def open_accounts(
    job: SplitTrainingJob,
    options: ServerOptions,
    checkpoint: Checkpoint | None,
    registry: CollectorRegistry,
) -> Scribe:
    """Open the accounts; what happened after the checkpoint is forgotten, because it will happen again.

    Raises:
        JournalError: the run's journal cannot be read.
        OSError: it cannot be opened or written.
    """
    spec, expected = job.spec, options.expected_clients
    journal = Journal(options.run / FILE_NAME)
    journal.truncate_after(checkpoint.step if checkpoint else 0)
    records = read(journal.path)
    labels = JobLabels(
        job.metadata.name, spec.model.architecture, spec.model.cut_layer or "", spec.sampling.strategy
    )
    quorum = spec.fault_tolerance.quorum(expected)
    metrics = ServerMetrics(registry, JobSeries(labels, spec.epochs, quorum, options.client_series))
    fresh = Status(started=time.time(), epochs=spec.epochs, clients_expected=expected)
    for damage in checkpoint.damaged if checkpoint else ():
        _logger.warning("passed over a damaged checkpoint, %s", damage)
    if checkpoint:
        _logger.info("going on from the checkpoint of step %d", checkpoint.step)
    return Scribe(journal, metrics, resumed_status(fresh, records), time.time)
