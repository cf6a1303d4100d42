"""The operator's own metrics."""

from collections import Counter as Counts
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import perf_counter
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from pslgs_operator.informer import WatchHealth
from pslgs_operator.kube_client import ConflictError, JobKey
from pslgs_operator.status.types import Phase
from pslgs_operator.store import ListedJob, Store

_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

Reconcile = Callable[[JobKey], Awaitable[timedelta | None]]


class Metrics:
    """The metrics of the operator, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.leads: Callable[[], bool] = lambda: True
        self.secret_ages: Callable[[], Mapping[str, timedelta]] = dict
        self._seconds = Histogram(
            "pslgs_operator_reconcile_seconds",
            "Time of a reconcile of a job.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._results = Counter(
            "pslgs_operator_reconciles_total",
            "Reconciles of jobs; conflict: the job was changed meanwhile, and is reconciled again.",
            ["result"],
            registry=self.registry,
        )
        for result in ("success", "error", "conflict"):
            self._results.labels(result)
        self._depth = Gauge(
            "pslgs_operator_queue_depth", "Jobs that wait for a worker.", registry=self.registry
        )
        self._requests = Counter(
            "pslgs_operator_api_requests_total",
            "Requests to the API server, by HTTP status; none: there was no answer. Without watches.",
            ["verb", "resource", "code"],
            registry=self.registry,
        )
        self._retries = Counter(
            "pslgs_operator_retries_total",
            "Writes of children that failed and are tried again.",
            registry=self.registry,
        )
        ProcessCollector(registry=self.registry)

    def watch(
        self, jobs: Store[ListedJob], watches: Iterable[WatchHealth], now: Callable[[], datetime]
    ) -> None:
        """Report the number of jobs and the age of the watches from now on."""
        self.registry.register(_State(jobs, tuple(watches), now, self))

    def follow_leader(self, leads: Callable[[], bool], namespaces: Callable[[], Mapping[str, bool]]) -> None:
        """Report from now on whether this replica leads, and which namespaces it reconciles."""
        self.leads = leads
        self.registry.register(_Leader(leads, namespaces))

    def watch_queue(self, depth: Callable[[], int]) -> None:
        """Report the depth of the queue from now on."""
        self._depth.set_function(depth)

    def count_request(self, verb: str, resource: str, code: str) -> None:
        """Count an answer of the API server."""
        self._requests.labels(verb, resource, code).inc()

    def count_retries(self, number: int) -> None:
        """Count writes that failed and are tried again."""
        self._retries.inc(number)

    def measured(self, reconcile: Reconcile) -> Reconcile:
        """Count and time every call."""

        async def measure(key: JobKey) -> timedelta | None:
            began, result = perf_counter(), "error"
            try:
                again = await reconcile(key)
                result = "success"
            except ConflictError:
                result = "conflict"
                raise
            finally:
                self._seconds.observe(perf_counter() - began)
                self._results.labels(result).inc()
            return again

        return measure


@dataclass(frozen=True, slots=True, eq=False)
class _State(Collector):
    jobs: Store[ListedJob]
    watches: tuple[WatchHealth, ...]
    now: Callable[[], datetime]
    metrics: Metrics

    def collect(self) -> Iterator[Metric]:
        if self.metrics.leads():  # two replicas would count each job twice
            yield from self._jobs()
        ages = GaugeMetricFamily(
            "pslgs_operator_watch_age_seconds",
            "Time since the watch was last known to have reported every object; at most about five minutes "
            "while it works.",
            labels=["resource"],
        )
        for watch in self.watches:
            ages.add_metric([watch.resource.plural], watch.age(self.now()).total_seconds())
        for resource, age in self.metrics.secret_ages().items():
            ages.add_metric([resource], age.total_seconds())
        yield ages

    def _jobs(self) -> Iterator[Metric]:
        phases = Counts(entry.value.phase for entry in self.jobs.all().values())
        jobs = GaugeMetricFamily("pslgs_jobs", "SplitTrainingJobs by phase.", labels=["phase"])
        for each in Phase:
            jobs.add_metric([each.value], phases[each.value])
        yield jobs
        phase = GaugeMetricFamily(
            "pslgs_job_phase",
            "1 for the phase that a SplitTrainingJob is in; gone when the job is deleted.",
            labels=["job_namespace", "job_name", "phase"],
        )
        for key, entry in self.jobs.all().items():
            phase.add_metric([*key, entry.value.phase], 1)
        yield phase


@dataclass(frozen=True, slots=True, eq=False)
class _Leader(Collector):
    leads: Callable[[], bool]
    namespaces: Callable[[], Mapping[str, bool]]

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "pslgs_operator_leader",
            "1 if this replica holds the Lease and reconciles jobs, 0 if it is a standby.",
            value=float(self.leads()),
        )
        served = GaugeMetricFamily(
            "pslgs_operator_namespace_served",
            "1 if jobs in the namespace are reconciled, 0 if the namespace of watchNamespaces is missing or "
            "another release holds its Lease.",
            labels=["watched_namespace"],
        )
        for namespace, is_served in self.namespaces().items():
            served.add_metric([namespace], float(is_served))
        yield served
