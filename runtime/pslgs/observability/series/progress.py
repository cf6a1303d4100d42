"""How far the training is, and where a step's time goes."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from pslgs.observability.records import StepRecord
from pslgs.observability.registry import SECONDS_BUCKETS, LatestGauge
from pslgs.observability.status import Phase

PHASES = ("forward_wait", "server", "backward_wait", "update")


class ProgressSeries:
    """Steps, samples, epochs and durations.  The counters start at 0 in every process."""

    def __init__(self, registry: CollectorRegistry, epochs: int) -> None:
        self._steps = Counter("pslgs_steps", "Steps committed", registry=registry)
        self._samples = Counter("pslgs_samples", "Samples in the steps committed", registry=registry)
        self._seconds = Histogram(
            "pslgs_step_seconds",
            "Duration of the phases of a step in seconds",
            ["phase"],
            buckets=SECONDS_BUCKETS,
            registry=registry,
        )
        for phase in PHASES:
            self._seconds.labels(phase)
        self._epoch = LatestGauge("pslgs_epoch", "The epoch under way, counted from 1", registry=registry)
        Gauge("pslgs_epochs", "Epochs the job trains for", registry=registry).set(epochs)
        self._phase = Gauge(
            "pslgs_phase", "1 for what the run is doing, else 0", ["phase"], registry=registry
        )
        self.phase(Phase.STARTING)

    def phase(self, current: Phase) -> None:
        """Show what the run is doing."""
        for phase in Phase:
            self._phase.labels(phase.value).set(phase is current)

    def step(self, record: StepRecord) -> None:
        """Count a step."""
        self._steps.inc()
        self._samples.inc(record.batch_size)
        self._epoch.show(record.epoch)
        for phase, seconds in record.seconds.items():
            self._seconds.labels(phase).observe(seconds)
