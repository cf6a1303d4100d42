"""The kinds of the Prometheus Operator, of which anything is accepted, and what asks for them."""

from typing import Any

MONITORING = tuple(
    f"monitoring.coreos.com/v1/{kind}" for kind in ("ServiceMonitor", "PodMonitor", "PrometheusRule")
)
ENDPOINT = {
    "interval": "15s",
    "scrapeTimeout": "10s",
    "relabelings": [{"action": "replace", "targetLabel": "cluster", "replacement": "edge"}],
    "metricRelabelings": [{"action": "drop", "sourceLabels": ["__name__"], "regex": "python_gc_.*"}],
}
MONITORED = {
    "serviceMonitor": {
        "enabled": True,
        "labels": {"release": "prometheus"},
        **ENDPOINT,
    },
    "podMonitors": {"enabled": True, "labels": {"release": "prometheus"}, **ENDPOINT},
    "prometheusRule": {
        "enabled": True,
        "labels": {"release": "prometheus"},
        "runbooksBaseUrl": "https://git.example.com/pslgs/docs/runbooks/",
    },
    "dashboards": {"enabled": True, "annotations": {"grafana_folder": "Training"}},
}


def definitions() -> list[dict[str, Any]]:
    """The definitions of all these kinds."""
    return [_definition(*api.split("/")) for api in MONITORING]


def _definition(group: str, version: str, kind: str) -> dict[str, Any]:
    plural = f"{kind.lower()}s"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    served = {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural},
            "versions": [served],
        },
    }
