"""What the prometheus-operator makes of a PodMonitor, for pods that are processes of this machine."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

_FROM_DISCOVERY = {
    "__meta_kubernetes_namespace": "namespace",
    "__meta_kubernetes_pod_name": "pod",
    "__meta_kubernetes_pod_container_name": "container",
}
"""The labels that the prometheus-operator gives every series of a PodMonitor."""


Target = dict[str, Any]
"""An address, and what is known of it: ``{"targets": […], "labels": {…}}``."""


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod as Kubernetes discovery describes it.

    Attributes:
        child: The Job that it is of, as the operator makes it.
        address: Where it is scraped in truth.
    """

    name: str
    child: Mapping[str, Any]
    address: str


_IN_PROMETHEUS: Final[Mapping[str, str]] = {"sourceLabels": "source_labels", "targetLabel": "target_label"}
"""Fields of a relabeling that Prometheus calls otherwise than its operator."""


def scrape_config(monitor: Mapping[str, Any], pods: Iterable[Pod]) -> dict[str, Any]:
    """Translate a PodMonitor whose pods are ``pods``, all of their ports included."""
    [endpoint] = monitor["spec"]["podMetricsEndpoints"]
    metadata = monitor["metadata"]
    return {
        "job_name": f"{metadata['namespace']}/{metadata['name']}",
        "metrics_path": endpoint["path"],
        "static_configs": [target for pod in pods for target in _targets(pod)],
        "relabel_configs": relabelling(monitor),
    }


def relabelling(monitor: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Keep the pods and the port that a PodMonitor chooses, and label them as it asks."""
    [endpoint] = monitor["spec"]["podMetricsEndpoints"]
    chosen = [
        kept(f"__meta_kubernetes_pod_label_{sanitised(label)}", value)
        for label, value in monitor["spec"]["selector"]["matchLabels"].items()
    ]
    port = kept("__meta_kubernetes_pod_container_port_name", endpoint["port"])
    given = [{"source_labels": [meta], "target_label": label} for meta, label in _FROM_DISCOVERY.items()]
    asked = [
        {_IN_PROMETHEUS.get(key, key): value for key, value in each.items()}
        for each in endpoint["relabelings"]
    ]
    return [*chosen, port, *given, *asked]


def pod_labels(metadata: Mapping[str, Any], container: str, port: str) -> dict[str, str]:
    """Return the labels that Kubernetes discovery gives to a port of a pod."""
    labels = {
        "namespace": metadata["namespace"],
        "pod_name": metadata["name"],
        "pod_container_name": container,
        "pod_container_port_name": port,
        **{f"pod_label_{name}": value for name, value in metadata["labels"].items()},
        **{f"pod_annotation_{name}": value for name, value in metadata.get("annotations", {}).items()},
    }
    return {f"__meta_kubernetes_{sanitised(name)}": value for name, value in labels.items()}


def _targets(pod: Pod) -> list[Target]:
    template, namespace = pod.child["spec"]["template"], pod.child["metadata"]["namespace"]
    [container] = template["spec"]["containers"]
    metadata = {**template["metadata"], "namespace": namespace, "name": pod.name}
    return [
        {"targets": [pod.address], "labels": pod_labels(metadata, container["name"], port["name"])}
        for port in container["ports"]
    ]


def kept(label: str, value: str) -> dict[str, Any]:
    """Keep the targets that have this value."""
    return {"source_labels": [label], "regex": re.escape(value).replace("\\-", "-"), "action": "keep"}


def sanitised(name: str) -> str:
    """Write a label or annotation as Kubernetes discovery does."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", name)
