"""The accounts of a run: journal, metrics and status."""

import time

from prometheus_client import CollectorRegistry

from pslgs.observability.journal import FILE_NAME, Journal
from pslgs.observability.metrics import JobLabels, JobSeries, ServerMetrics
from pslgs.observability.status import Status
from pslgs.server.options import ServerOptions
from pslgs.server.scribe import Scribe
from pslgs.spec.job import SplitTrainingJob


def open_accounts(job: SplitTrainingJob, options: ServerOptions, registry: CollectorRegistry) -> Scribe:
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
    return Scribe(Journal(options.run / FILE_NAME), metrics, fresh, time.time)
