"""A cluster's pods and Services as Kubernetes discovery gives them to a Prometheus.

Not every build of Prometheus can discover by itself, Debian's for one; so targets come in a file that is
written anew while things change.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from monitoring.scraping import Target, kept, pod_labels, relabelling, sanitised

_FROM_DISCOVERY = {
    "__meta_kubernetes_namespace": "namespace",
    "__meta_kubernetes_pod_name": "pod",
    "__meta_kubernetes_service_name": "service",
}
"""The labels that the prometheus-operator gives the series of a ServiceMonitor."""


def pods_config(monitor: Mapping[str, Any], targets: Path) -> dict[str, Any]:
    """Translate a PodMonitor; ``targets`` is the file with what `pods_found` says."""
    [endpoint] = monitor["spec"]["podMetricsEndpoints"]
    return _config(monitor, endpoint, targets, relabelling(monitor))


def services_config(monitor: Mapping[str, Any], targets: Path) -> dict[str, Any]:
    """Translate a ServiceMonitor; ``targets`` is the file with what `services_found` says."""
    [endpoint] = monitor["spec"]["endpoints"]
    chosen = [
        kept(f"__meta_kubernetes_service_label_{sanitised(label)}", value)
        for label, value in monitor["spec"]["selector"]["matchLabels"].items()
    ]
    port = kept("__meta_kubernetes_endpoint_port_name", endpoint["port"])
    given = [{"source_labels": [meta], "target_label": label} for meta, label in _FROM_DISCOVERY.items()]
    return _config(monitor, endpoint, targets, [*chosen, port, *given])


def pods_found(pods: Iterable[Mapping[str, Any]]) -> list[Target]:
    """Return every port of every pod that has an address and has not ended."""
    return [target for pod in pods if pod["status"].get("podIP") for target in _of_pod(pod)]


def services_found(
    services: Iterable[Mapping[str, Any]], slices: Iterable[Mapping[str, Any]]
) -> list[Target]:
    """Return every port of every address of the Services, which their EndpointSlices name."""
    labels = {each["metadata"]["name"]: each["metadata"].get("labels", {}) for each in services}
    return [
        target
        for each in slices
        for target in _of_slice(each, labels[each["metadata"]["labels"]["kubernetes.io/service-name"]])
    ]


def write_targets(targets: list[Target], file: Path) -> None:
    """Write targets into a file that Prometheus watches."""
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps(targets), encoding="utf-8")
    fresh.replace(file)


def _config(
    monitor: Mapping[str, Any], endpoint: Mapping[str, Any], targets: Path, rules: list[dict[str, Any]]
) -> dict[str, Any]:
    metadata = monitor["metadata"]
    return {
        "job_name": f"{metadata['namespace']}/{metadata['name']}",
        "metrics_path": endpoint["path"],
        "file_sd_configs": [{"files": [str(targets)]}],
        "relabel_configs": rules,
    }


def _of_pod(pod: Mapping[str, Any]) -> Iterator[Target]:
    if pod["status"]["phase"] in {"Succeeded", "Failed"}:
        return
    for container in pod["spec"]["containers"]:
        for port in container.get("ports", ()):
            labels = pod_labels(pod["metadata"], container["name"], port["name"])
            yield {"targets": [f"{pod['status']['podIP']}:{port['containerPort']}"], "labels": labels}


def _of_slice(found: Mapping[str, Any], labels: Mapping[str, str]) -> Iterator[Target]:
    metadata = found["metadata"]
    shared = {
        "__meta_kubernetes_namespace": metadata["namespace"],
        "__meta_kubernetes_service_name": metadata["labels"]["kubernetes.io/service-name"],
        **{f"__meta_kubernetes_service_label_{sanitised(name)}": value for name, value in labels.items()},
    }
    for endpoint in found["endpoints"] or ():
        pod = {"__meta_kubernetes_pod_name": endpoint["targetRef"]["name"]}
        for port in found["ports"]:
            address = f"{endpoint['addresses'][0]}:{port['port']}"
            named = {"__meta_kubernetes_endpoint_port_name": port["name"]}
            yield {"targets": [address], "labels": shared | pod | named}
