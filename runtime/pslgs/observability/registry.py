"""A registry of Prometheus metrics that belongs to one process, and what its metrics have in common."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Gauge, Metric, ProcessCollector

SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class ProcessRegistry(CollectorRegistry):
    """The metrics of one process; its memory, CPU time and open files are among them.

    The library gives every counter, summary and histogram a ``_created`` series, and can leave it out for
    the whole interpreter only.
    """

    def __init__(self) -> None:
        super().__init__()
        ProcessCollector(registry=self)

    def collect(self) -> Iterable[Metric]:
        """Yield all metrics, without ``_created``."""
        for metric in super().collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric


class LatestGauge(Gauge):
    """A gauge that has no sample before its value is known, where the library would show 0.

    A task without classes has no deviation, and a run without a checkpoint did not write one in 1970.
    """

    _known = False

    def show(self, value: float | None) -> None:
        """Set the value; None leaves it as it was."""
        if value is not None:
            self._known = True
            self.set(value)

    def collect(self) -> Iterable[Metric]:
        """Yield the gauge, without a sample while its value is not known."""
        for metric in super().collect():
            if not self._known:
                metric.samples = []
            yield metric
