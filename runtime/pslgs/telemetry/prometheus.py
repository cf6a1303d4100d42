"""Registry, gauge and counter that adapt the Prometheus library to the metrics of a run."""

from collections.abc import Collection, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Metric, ProcessCollector

SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the buckets of histograms of durations, in seconds."""

REASONS_LIMIT = 32
"""Maximum number of reasons of a `ReasonCounter`."""


class ProcessRegistry(CollectorRegistry):
    """A registry that includes memory, CPU time and open files of the process, and omits ``_created`` series.

    The library adds a ``_created`` series to every counter, summary and histogram, and can disable them for
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
    """A gauge that has no sample until its value is set, where the library would show 0.

    A job without classes has no deviation, and a time of 0 would mean a checkpoint in 1970.
    """

    _has_value = False

    def set_known(self, value: float | None) -> None:
        """Set the value; None does not change it."""
        if value is not None:
            self._has_value = True
            self.set(value)

    def collect(self) -> Iterable[Metric]:
        """Yield the gauge, without a sample until its value is set."""
        for metric in super().collect():
            if not self._has_value:
                metric.samples = []
            yield metric


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
