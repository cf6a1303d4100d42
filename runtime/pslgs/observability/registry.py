"""The Prometheus registry of a process, and a gauge without an initial value."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Gauge, Metric, ProcessCollector

SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class ProcessRegistry(CollectorRegistry):
    """A registry that includes memory, CPU time and open files of the process, and omits ``_created`` series.

    The library adds a ``_created`` series to every counter, summary and histogram, and allows to disable
    them only for the whole interpreter.
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
    """A gauge that has no sample until its value is set, where the library would show 0.

    A job without classes has no deviation, and a time of 0 would mean a checkpoint in 1970.
    """

    _known = False

    def show(self, value: float | None) -> None:
        """Set the value; None does not change it."""
        if value is not None:
            self._known = True
            self.set(value)

    def collect(self) -> Iterable[Metric]:
        """Yield the gauge, without a sample until its value is set."""
        for metric in super().collect():
            if not self._known:
                metric.samples = []
            yield metric
