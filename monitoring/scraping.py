"""What the prometheus-operator makes of a PodMonitor, for pods that are processes of this machine."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_FROM_DISCOVERY = {
    "__meta_kubernetes_namespace": "namespace",
    "__meta_kubernetes_pod_name": "pod",
    "__meta_kubernetes_pod_container_name": "container",
}
"""The labels that the prometheus-operator gives every series of a PodMonitor."""


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod as Kubernetes discovery tells of it.

    Attributes:
        child: The Job that it is of, as the operator makes it.
        address: Where it is scraped in truth.
    """

    name: str
    child: Mapping[str, Any]
    address: str


def scrape_config(monitor: Mapping[str, Any], pods: Iterable[Pod]) -> dict[str, Any]:
    """Translate a PodMonitor whose pods are ``pods``, all of their ports included."""
    [endpoint] = monitor["spec"]["podMetricsEndpoints"]
    chosen = [
        _kept(f"__meta_kubernetes_pod_label_{_sanitised(label)}", value)
        for label, value in monitor["spec"]["selector"]["matchLabels"].items()
    ]
    port = _kept("__meta_kubernetes_pod_container_port_name", endpoint["port"])
    given = [{"source_labels": [meta], "target_label": label} for meta, label in _FROM_DISCOVERY.items()]
    asked = [
        {"source_labels": each["sourceLabels"], "target_label": each["targetLabel"]}
        for each in endpoint["relabelings"]
    ]
    metadata = monitor["metadata"]
    return {
        "job_name": f"{metadata['namespace']}/{metadata['name']}",
        "metrics_path": endpoint["path"],
        "static_configs": [target for pod in pods for target in _targets(pod)],
        "relabel_configs": [*chosen, port, *given, *asked],
    }


def _targets(pod: Pod) -> list[dict[str, Any]]:
    template = pod.child["spec"]["template"]
    [container] = template["spec"]["containers"]
    told = {
        "namespace": pod.child["metadata"]["namespace"],
        "pod_name": pod.name,
        "pod_container_name": container["name"],
        **{f"pod_label_{name}": value for name, value in template["metadata"]["labels"].items()},
        **{f"pod_annotation_{name}": value for name, value in template["metadata"]["annotations"].items()},
    }
    meta = {f"__meta_kubernetes_{_sanitised(name)}": value for name, value in told.items()}
    ports = [{"__meta_kubernetes_pod_container_port_name": port["name"]} for port in container["ports"]]
    return [{"targets": [pod.address], "labels": meta | port} for port in ports]


def _kept(label: str, value: str) -> dict[str, Any]:
    return {"source_labels": [label], "regex": re.escape(value).replace("\\-", "-"), "action": "keep"}


def _sanitised(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", name)
