"""The metrics of each process, read off its registry after everything has happened once."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from prometheus_client import CollectorRegistry
from prometheus_client import Metric as Series
from typing_extensions import override

from pslgs.spec.metrics import Metric
from pslgs.telemetry import records
from pslgs.telemetry.client_view import NoClients
from pslgs.telemetry.evaluation_details import ClassEvaluation, EvaluationDetails
from pslgs.telemetry.metrics import ClientMetrics, JobLabels, JobSeries, ServerMetrics
from pslgs.telemetry.prometheus import ProcessRegistry
from pslgs_operator.informer import WatchHealth
from pslgs_operator.metrics import Metrics
from pslgs_operator.store import Stores

_NOW = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Described:
    """A metric; of an info, the name of its samples."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


class _Everybody(NoClients):
    """A job to which every client is connected."""

    @override
    def is_live(self, client: str) -> bool:
        return True


def surfaces() -> dict[str, list[Described]]:
    """Return the metrics of a server, a client and an operator, in the order of their definition."""
    return {"server": list(_server()), "client": list(_client()), "operator": list(_operator())}


def _server() -> Iterator[Described]:
    registry = ProcessRegistry()
    labels = JobLabels("job", "mlp", "hidden1", "Global")
    metrics = ServerMetrics(registry, JobSeries(labels, epochs=1, quorum=1, client_series=1))
    metrics.follow_clients(_Everybody())
    metrics.count_wire_bytes("sent", "control", 1)
    metrics.observe(records.StepRecord(0, 1, 1, 1, 0, 1, 0, 0, 0, 0, {"a": (0, 1)}, {}, {"a": (0, 0)}))
    metrics.observe(_evaluation())
    metrics.observe(records.ClientRecord(0, 0, "a", "joined", "", left_out={"damaged": 1}))
    metrics.observe(records.ClientRecord(0, 0, "b", "lost", "", cause="timeout"))
    metrics.observe(records.CheckpointRecord(0, 1, 0))
    metrics.set_heartbeat(0)
    return _described(registry)


def _evaluation() -> records.EvaluationRecord:
    values = {Metric.ACCURACY.value: 1.0}
    evaluated = records.ClientEvaluation(1, 0, 1, values)
    details = EvaluationDetails((ClassEvaluation("c", 1, 1.0, 1.0, 1.0),))
    return records.EvaluationRecord(
        0, 1, 1, 1, 0, 1, {"a": evaluated}, metric=Metric.ACCURACY, metrics=values, details=details
    )


def _client() -> Iterator[Described]:
    registry = ProcessRegistry()
    ClientMetrics(registry)
    return _described(registry)


def _operator() -> Iterator[Described]:
    caches, metrics = Stores(), Metrics()
    metadata = {"namespace": "n", "name": "j", "uid": "u", "resourceVersion": "1"}
    caches.training_jobs.put({"metadata": metadata, "status": {"phase": "Running"}})
    metrics.watch(
        caches.training_jobs, [WatchHealth(caches.nodes, _NOW)], lambda: _NOW + timedelta(minutes=1)
    )
    metrics.follow_leader(lambda: True, lambda: {"n": True})
    metrics.count_request("patch", "splittrainingjobs/status", "200")
    return _described(metrics.registry)


def _described(registry: CollectorRegistry) -> Iterator[Described]:
    for metric in registry.collect():
        if metric.name.startswith("pslgs_"):
            meaning = metric.documentation.rstrip(".")
            yield Described(_name(metric), metric.type, tuple(_labels(metric)), meaning)


def _name(metric: Series) -> str:
    return metric.name + {"counter": "_total", "info": "_info"}.get(metric.type, "")


def _labels(metric: Series) -> Iterable[str]:
    """Name them in the order in which the code has them; le is the histogram's own."""
    return dict.fromkeys(label for sample in metric.samples for label in sample.labels if label != "le")
