"""The kinds that the API server in memory knows: what it fills in, and what it does not let change."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fake_api.answers import invalid
from fake_api.bodies import Body
from pslgs_operator.gvk import BY_KIND


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of objects."""

    kind: str
    plural: str
    group: str = ""
    version: str = "v1"
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def has_status(self) -> bool:
        return self.kind in _WITH_STATUS

    @property
    def has_generation(self) -> bool:
        return self.kind in _WITH_GENERATION


_WITH_STATUS = {
    "SplitTrainingJob", "Job", "Pod", "Service", "PersistentVolumeClaim", "Node", "Namespace", "Workload",
}  # fmt: skip
_WITH_GENERATION = {"SplitTrainingJob", "Job", "NetworkPolicy", "PodMonitor", "Workload"}

KINDS = {
    (each.group, each.plural): each
    for each in (
        *(
            Kind(each.kind, each.plural, each.group, each.version, each.namespaced)
            for each in BY_KIND.values()
        ),
        Kind("Namespace", "namespaces", namespaced=False),
        Kind("ServiceAccount", "serviceaccounts"),
        Kind("Lease", "leases", "coordination.k8s.io"),
    )
}
BY_NAME = {each.kind: each for each in KINDS.values()}

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def check(kind: Kind, body: Body, old: Mapping[str, Any] | None) -> None:
    """Refuse what the API server's validation refuses, as far as an operator can meet it."""
    name = body["metadata"]["name"]
    if not _SUBDOMAIN.fullmatch(name) or len(name) > 253:
        raise invalid(kind.kind, name, "metadata.name", "must be a lowercase RFC 1123 subdomain")
    if kind.kind == "Service" and ("." in name or len(name) > 63):
        raise invalid(kind.kind, name, "metadata.name", "must be a DNS-1035 label")
    _check_owners(kind, body)
    for path in _IMMUTABLE.get(kind.kind, ()) if old is not None else ():
        if _at(old, path) != _at(body, path):
            raise invalid(kind.kind, name, path, "field is immutable")
    if old is not None and old.get("immutable") and old.get("data") != body.get("data"):
        raise invalid(kind.kind, name, "data", "field is immutable when `immutable` is set")


def _check_owners(kind: Kind, body: Body) -> None:
    owners = body["metadata"].get("ownerReferences") or []
    for number, owner in enumerate(owners):
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field):
                path = f"metadata.ownerReferences[{number}].{field}"
                raise invalid(kind.kind, body["metadata"]["name"], path, "must not be empty")
    if sum(bool(owner.get("controller")) for owner in owners) > 1:
        raise invalid(
            kind.kind, body["metadata"]["name"], "metadata.ownerReferences", "only one may be the controller"
        )


def _at(body: Mapping[str, Any] | None, path: str) -> Any:
    for name in path.split("."):
        body = (body or {}).get(name)
    return body


_IMMUTABLE = {
    "Job": ("spec.template", "spec.selector", "spec.completions", "spec.podFailurePolicy"),
    "Service": ("spec.clusterIP",),
    "PersistentVolumeClaim": ("spec.accessModes", "spec.storageClassName"),
    "Secret": ("type",),
}


def fill_in(kind: Kind, body: Body, old: Mapping[str, Any] | None, number: Callable[[], int]) -> None:
    """Set the defaults that the API server sets; ``number`` returns one that is not used yet."""
    if fill := _DEFAULTS.get(kind.kind):
        fill(body, old or {}, number)


def _fill_in_service(body: Body, old: Mapping[str, Any], number: Callable[[], int]) -> None:
    spec, before = body.setdefault("spec", {}), old.get("spec") or {}
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    if "clusterIP" not in spec:
        spec["clusterIP"] = before.get("clusterIP") or f"10.96.0.{number() % 250 + 1}"
    spec.setdefault("clusterIPs", [spec["clusterIP"]])
    if spec["type"] in {"NodePort", "LoadBalancer"}:
        held = {port.get("port"): port.get("nodePort") for port in before.get("ports") or ()}
        for port in spec.get("ports") or ():
            port.setdefault("nodePort", held.get(port["port"]) or 30000 + number() % 2000)
    else:
        for port in spec.get("ports") or ():
            port.pop("nodePort", None)
    body.setdefault("status", {"loadBalancer": {}})


def _fill_in_job(body: Body, _old: Mapping[str, Any], _number: Callable[[], int]) -> None:
    spec, metadata = body.setdefault("spec", {}), body["metadata"]
    uid = metadata["uid"]
    spec.setdefault("selector", {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}})
    labels = spec.setdefault("template", {}).setdefault("metadata", {}).setdefault("labels", {})
    labels |= {"batch.kubernetes.io/controller-uid": uid, "batch.kubernetes.io/job-name": metadata["name"]}
    for name, value in (("suspend", False), ("completionMode", "NonIndexed"), ("manualSelector", False)):
        spec.setdefault(name, value)
    body.setdefault("status", {})


def _fill_in_claim(body: Body, _old: Mapping[str, Any], _number: Callable[[], int]) -> None:
    body.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")
    body.setdefault("status", {"phase": "Pending"})


def _fill_in_secret(body: Body, _old: Mapping[str, Any], _number: Callable[[], int]) -> None:
    body.setdefault("type", "Opaque")


def _fill_in_policy(body: Body, _old: Mapping[str, Any], _number: Callable[[], int]) -> None:
    spec = body.setdefault("spec", {})
    spec.setdefault("policyTypes", ["Ingress", *(["Egress"] if "egress" in spec else [])])


_DEFAULTS: Mapping[str, Callable[[Body, Mapping[str, Any], Callable[[], int]], None]] = {
    "Service": _fill_in_service,
    "Job": _fill_in_job,
    "PersistentVolumeClaim": _fill_in_claim,
    "Secret": _fill_in_secret,
    "NetworkPolicy": _fill_in_policy,
}
