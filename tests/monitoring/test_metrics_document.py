"""docs/reference/metrics.md, and what is generated beside it."""

import re

import pytest
from monitoring.generated import generated
from monitoring.reference import OF_A_CLIENT, PER_CLIENT
from prometheus_client import CollectorRegistry

from monitoring import surface
from pslgs.telemetry.metrics import ClientMetrics, JobLabels, JobSeries, ServerMetrics
from pslgs.telemetry.records import ClientEvaluation, EvaluationRecord, StepRecord
from pslgs_operator.controller import utc_now
from pslgs_operator.informer import WatchHealth
from pslgs_operator.metrics import Metrics
from pslgs_operator.store import Stores
from telemetry.fake_clients import FakeClients

OPERATOR = {
    "pslgs_operator_reconcile_seconds": ("histogram", ()),
    "pslgs_operator_reconciles_total": ("counter", ("result",)),
    "pslgs_operator_queue_depth": ("gauge", ()),
    "pslgs_operator_api_requests_total": ("counter", ("verb", "resource", "code")),
    "pslgs_operator_retries_total": ("counter", ()),
    "pslgs_jobs": ("gauge", ("phase",)),
    "pslgs_job_phase": ("gauge", ("job_namespace", "job_name", "phase")),
    "pslgs_operator_watch_age_seconds": ("gauge", ("resource",)),
    "pslgs_operator_leader": ("gauge", ()),
    "pslgs_operator_namespace_served": ("gauge", ("watched_namespace",)),
}


@pytest.mark.parametrize("path", generated(), ids=lambda path: path.rsplit("/", 1)[1])
def test_what_is_generated_is_committed(path, root):
    assert (root / path).read_text() == generated()[path], "run `python -m monitoring`"


def test_names_types_and_labels_of_an_operator_are_frozen():
    told = {metric.name: (metric.kind, metric.labels) for metric in surface.surfaces()["operator"]}
    assert told == OPERATOR


def test_the_document_lists_every_metric_once(root):
    text = (root / "docs" / "reference" / "metrics.md").read_text()
    listed = re.findall(r"^\| `(pslgs_[a-z_]+)` \| (?:counter|gauge|histogram|summary|info) ", text, re.M)
    assert sorted(listed) == sorted(m.name for each in surface.surfaces().values() for m in each)


def series(clients: int, limit: int) -> int:
    """How many series a server has."""
    registry = CollectorRegistry()
    metrics = ServerMetrics(registry, JobSeries(JobLabels("j", "mlp", "0", "Global"), 1, 1, limit))
    ids = [f"edge-{number}" for number in range(clients)]
    metrics.follow_clients(FakeClients({"live": tuple(ids), "lost": ()}, dict.fromkeys(ids, 1)))
    shares = dict.fromkeys(ids, (0, 1))
    answers = dict.fromkeys(ids, (0.1, 0.1))
    metrics.observe(StepRecord(0, 1, 1, 1, 0, clients, 0, 0, 0, 0, shares, {}, answers))
    evaluated = dict.fromkeys(ids, ClientEvaluation(1, 0, 1))
    metrics.observe(EvaluationRecord(0, 1, 1, clients, 0, 1, evaluated))
    return sum(
        not sample.name.endswith("_created") for metric in registry.collect() for sample in metric.samples
    )


def test_a_client_has_as_many_series_as_the_document_says():
    assert series(101, limit=1000) - series(1, limit=1000) == 100 * PER_CLIENT
    registry = surface.ProcessRegistry()
    ClientMetrics(registry)
    assert sum(len(metric.samples) for metric in registry.collect()) == OF_A_CLIENT


@pytest.mark.parametrize("limit", [0, 50], ids=["none", "fifty"])
def test_a_thousand_clients_have_no_more_series_than_the_setting_allows(limit):
    assert series(1000, limit) == series(limit, limit)


def test_the_series_of_a_deleted_job_are_gone():
    stores, metrics = Stores(), Metrics()
    metrics.watch(stores.training_jobs, [WatchHealth(stores.nodes, utc_now())], utc_now)
    body = {"metadata": {"namespace": "n", "name": "j", "uid": "u", "resourceVersion": "1"}}
    change = stores.training_jobs.put({**body, "status": {"phase": "Failed"}})
    labels = {"job_namespace": "n", "job_name": "j", "phase": "Failed"}
    assert metrics.registry.get_sample_value("pslgs_job_phase", labels) == 1
    assert change is not None
    stores.training_jobs.drop(change.key)
    assert metrics.registry.get_sample_value("pslgs_job_phase", labels) is None
    assert metrics.registry.get_sample_value("pslgs_jobs", {"phase": "Failed"}) == 0
