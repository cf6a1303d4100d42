"""Prometheus series of the progress of a run: steps, samples, epoch, phase and durations."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from pslgs.observability.records import StepRecord
from pslgs.observability.registry import SECONDS_BUCKETS, LatestGauge
from pslgs.observability.status import Phase

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
