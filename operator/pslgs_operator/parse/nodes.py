"""Nodes."""

from collections.abc import Mapping
from typing import Any

from pslgs_operator.fields import condition, is_true, mapping, moment
from pslgs_operator.snapshot import Node


def read_node(body: Mapping[str, Any]) -> Node:
    """Read a node; one whose kubelet is silent has Ready Unknown, which is not ready."""
    labels = mapping(body, "metadata", "labels")
    readiness = condition(mapping(body, "status"), "Ready")
    return Node(
        name=body["metadata"]["name"],
        labels={name: value for name, value in labels.items() if isinstance(value, str)},
        ready=is_true(readiness),
        unschedulable=mapping(body, "spec").get("unschedulable") is True,
        ready_since=moment(readiness, "lastTransitionTime") if is_true(readiness) else None,
    )
