"""The list of metrics as a document."""

from collections.abc import Mapping, Sequence
from typing import Final

from monitoring.selecting import JOB
from monitoring.surface import Described
from pslgs.server.options import CLIENT_SERIES
from pslgs_operator.manifests.podmonitor import CLIENT_TARGET_LABEL, scrape_annotations
from pslgs_operator.names import CLIENT_ANNOTATION, JOB_LABEL, SERVER
from pslgs_operator.settings import Settings

_UNITS: Final = {
    "timestamp_seconds": "Unix time, s",
    "seconds": "seconds",
    "bytes": "bytes",
    "samples": "samples",
    "steps": "steps",
    "epochs": "epochs",
    "clients": "clients",
    "jobs": "jobs",
}
_WHERE: Final = {
    "server": "Server: `http://POD:8080/metrics`, and the port that `pslgs run` prints",
    "client": "Client: `http://POD:8080/metrics`",
    "operator": "Operator: `http://POD:9090/metrics`",
}
PER_CLIENT: Final = 7
"""Series of each client at the server."""
OF_A_CLIENT: Final = 60
"""Series that a client's own process has."""

_HEADER: Final = f"""# Metrics

<!-- Generated from the code by `python -m monitoring`; change it there. -->

Tests fix the names, types and labels of the metrics. Histograms and summaries have series with the suffixes
`_sum` and `_count`, histograms also with `_bucket`. Every process also has the `process_` metrics of the
Prometheus client library: memory, CPU time, open files.

## Labels that identify the job

| label | meaning | source |
| --- | --- | --- |
| `namespace`, `pod` | the pod that exposes the series | Kubernetes discovery |
| `{JOB}` | the SplitTrainingJob | the pod label `{JOB_LABEL}` |
| `{CLIENT_TARGET_LABEL}` | the client, for a client's pod | the pod annotation `{CLIENT_ANNOTATION}` |

The label `job` does not name the SplitTrainingJob; it is Prometheus' name for a group of scrape targets. A
**PodMonitor**, which the operator creates for each job (`monitoring.podMonitors.enabled` of the chart), sets
these labels.
Without PodMonitors, pods have the **annotations** {{annotations}}.
A Prometheus that discovers pods by them and maps pod labels (`labelmap`, as in the Prometheus chart) has the
same labels except `{CLIENT_TARGET_LABEL}`, which requires this rule:

    - source_labels: [__meta_kubernetes_pod_annotation_pslgs_dev_client_id]
      target_label: {CLIENT_TARGET_LABEL}

Dashboards, recording rules and alerts need no other labels.

## Number of series

A server has about 120 series plus {PER_CLIENT} for each client; a client's pod has {OF_A_CLIENT}.
`pslgs server --client-series N` limits the number of clients with series of their own at the server (default
{CLIENT_SERIES}); further clients are included in totals only. `pslgs_data_left_out` adds one for each reason
for which a client leaves something out. In a cluster, the chart's value
`jobs.clientSeries` sets the limit for all jobs. With 0, the pods of clients are not scraped either, so that
the number of series does not depend on the number of clients.

`pslgs_client_faults_total` adds one for each client that was lost by a fault of its own, within the same
limit, and each reason; it is kept when the client is lost. The other series of a client are removed then,
those of a job when its pods end, and `pslgs_job_phase` when the job is deleted.
"""


def as_markdown(surfaces: Mapping[str, Sequence[Described]]) -> str:
    """Write a table for each process."""
    asked = ", ".join(f"`{key}: {value}`" for key, value in scrape_annotations(SERVER, Settings()).items())
    lines = [_HEADER.format(annotations=asked)]
    for process, metrics in surfaces.items():
        lines += [f"## {_WHERE[process]}", "", "| metric | type | labels | unit | meaning |"]
        lines += ["| --- | --- | --- | --- | --- |", *map(_row, metrics), ""]
    return "\n".join(lines)


def _row(metric: Described) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.kind} | {labels} | {_unit(metric)} | {metric.meaning} |"


def _unit(metric: Described) -> str:
    name = metric.name.removesuffix("_total")
    if metric.kind == "info" or name.endswith("_phase"):
        return ""
    return next((unit for word, unit in _UNITS.items() if f"_{word}" in name), "")
