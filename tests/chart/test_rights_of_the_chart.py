"""The operator may do exactly this, everywhere or in some namespaces."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from chart.rendering import EVERYTHING, VALUE_SETS, Objects, Renderer, environment, of_kind
from cluster.testcluster.appimages import ROOT
from cluster.testcluster.helm import NAMESPACE

RIGHTS_DOCUMENT = ROOT / "docs" / "reference" / "rbac.md"

NODES = {("", "nodes", "list"), ("", "nodes", "watch")}
MONITORS = {
    ("monitoring.coreos.com", "podmonitors", verb)
    for verb in ("get", "list", "watch", "create", "patch", "delete")
}
COLLECTING = {("monitoring.coreos.com", "podmonitors", verb) for verb in ("list", "delete")}
"""Without PodMonitors, to remove those that were created before."""

QUEUES = {
    *(
        ("kueue.x-k8s.io", "workloads", verb)
        for verb in ("get", "list", "watch", "create", "patch", "delete")
    ),
    ("kueue.x-k8s.io", "workloads/status", "patch"),
}
FLAVORS = {
    ("kueue.x-k8s.io", "resourceflavors", "get"),
    ("kueue.x-k8s.io", "workloadpriorityclasses", "get"),
    ("scheduling.k8s.io", "priorityclasses", "get"),
}

Right = tuple[str, str, str]
LEASES: set[Right] = {("coordination.k8s.io", "leases", verb) for verb in ("get", "create", "update")}

RIGHTS: set[Right] = (
    NODES
    | COLLECTING
    | {
        (group, resource, verb)
        for group, resource, verbs in (
            ("pslgs.dev", "splittrainingjobs", "get list watch delete"),
            ("pslgs.dev", "splittrainingjobs/status", "patch"),
            ("pslgs.dev", "splittrainingjobs/finalizers", "update"),
            ("", "pods", "list watch delete"),
            ("batch", "jobs", "get list watch create patch delete"),
            ("", "services", "get list watch create patch delete"),
            ("", "configmaps", "get list watch create patch delete"),
            ("", "persistentvolumeclaims", "get list watch create patch"),
            ("networking.k8s.io", "networkpolicies", "get list watch create patch delete"),
            ("", "secrets", "list watch create patch delete"),
            ("", "events", "create list patch"),
            ("coordination.k8s.io", "leases", "get create update"),
        )
        for verb in verbs.split()
    }
)
"""No right to read a Secret by name, nor to change nodes, pods or a job's spec; pods may be deleted."""

OWN: set[Right] = {("", "secrets", verb) for verb in ("get", "list", "watch", "create", "update", "delete")}
"""In the operator's own namespace, where the certificate authorities of jobs are."""


def rights(rules: Iterable[Mapping[str, Any]]) -> set[Right]:
    """Group, resource and verb of every right."""
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def granted(objects: Objects) -> dict[str | None, set[Right]]:
    """What is bound to the operator's account, by namespace; None is everywhere."""
    roles = {
        (each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]): rights(each["rules"])
        for each in of_kind(objects, "ClusterRole", "Role")
    }
    found: dict[str | None, set[Right]] = {}
    for each in of_kind(objects, "ClusterRoleBinding", "RoleBinding"):
        assert each["subjects"] == [
            {"kind": "ServiceAccount", "name": "pslgs-operator", "namespace": NAMESPACE}
        ]
        where = each["metadata"].get("namespace")
        reference = each["roleRef"]
        found.setdefault(where, set()).update(roles[reference["kind"], where, reference["name"]])
    return found


def test_rights_everywhere_are_these(helm: Renderer) -> None:
    assert granted(helm.render({})) == {None: RIGHTS, NAMESPACE: LEASES | OWN}


def test_rights_in_namespaces_are_the_same_but_for_nodes(helm: Renderer) -> None:
    found = granted(helm.render(VALUE_SETS["namespaced"]))
    in_namespaces = {"team-a": RIGHTS - NODES, "team-b": RIGHTS - NODES}
    assert found == {None: NODES, NAMESPACE: LEASES | OWN, **in_namespaces}


def test_leases_are_read_and_changed_by_name_only(helm: Renderer) -> None:
    rules = [
        rule
        for each in of_kind(helm.render(VALUE_SETS["namespaced"]), "Role")
        for rule in each["rules"]
        if "leases" in rule["resources"] and rule["verbs"] != ["create"]
    ]
    named = [(rule["verbs"], rule["resourceNames"]) for rule in rules]
    assert sorted(named) == [
        (["get", "update"], ["pslgs-operator"]),
        *[(["get", "update"], ["splittrainingjobs.pslgs.dev"])] * 2,
    ]


def test_pod_monitors_need_rights_of_their_own(helm: Renderer) -> None:
    assert granted(helm.render(VALUE_SETS["everything"])) == {
        None: RIGHTS | MONITORS | QUEUES | FLAVORS,
        NAMESPACE: LEASES | OWN,
    }


def test_kueue_needs_rights_of_its_own_and_only_where_it_is(helm: Renderer) -> None:
    values = {**VALUE_SETS["namespaced"], "kueue": {"enabled": True}}
    in_namespaces = dict.fromkeys(("team-a", "team-b"), (RIGHTS - NODES) | QUEUES)
    assert granted(helm.render(values)) == {None: NODES | FLAVORS, NAMESPACE: LEASES | OWN, **in_namespaces}
    without = helm.render({"kueue": {"enabled": True}}, knows=())
    assert granted(without) == {None: RIGHTS, NAMESPACE: LEASES | OWN}
    assert environment(without)["PSLGS_KUEUE"] == "false"


def test_rights_can_be_left_to_others(helm: Renderer) -> None:
    assert granted(helm.render(VALUE_SETS["no-rights"])) == {}
    assert granted(helm.render(VALUE_SETS["no-cluster-rights"])) == {
        "team-a": RIGHTS - NODES,
        NAMESPACE: LEASES | OWN,
    }


def test_nothing_cluster_wide_is_made_without_cluster_rights(helm: Renderer) -> None:
    objects = helm.render(VALUE_SETS["no-cluster-rights"])
    assert [each["kind"] for each in objects if "namespace" not in each["metadata"]] == []


@pytest.mark.parametrize("values", VALUE_SETS.values(), ids=VALUE_SETS)
def test_no_right_is_a_wildcard(values: Mapping[str, Any], helm: Renderer) -> None:
    rules = [rule for each in of_kind(helm.render(values), "ClusterRole", "Role") for rule in each["rules"]]
    assert [right for right in rights(rules) if "*" in right] == []


def documented() -> dict[tuple[str, str, str], str]:
    """The reason for each right, by group, resource and verb."""
    rows = re.findall(
        r"^\| `(\S+)`(?: \((\S+)\))?.*? \| (.*?) \| (.*?) \|$", RIGHTS_DOCUMENT.read_text(), re.M
    )
    return {
        (group, resource, verb): reason
        for resource, group, verbs, reason in rows
        for verb in verbs.split(", ")
    }


@pytest.mark.parametrize("values", VALUE_SETS.values(), ids=VALUE_SETS)
def test_every_right_is_documented_with_its_reason(values: Mapping[str, Any], helm: Renderer) -> None:
    roles = of_kind(helm.render(values), "ClusterRole", "Role")
    reasons = documented()
    given = rights(rule for each in roles for rule in each["rules"])
    assert sorted(right for right in given if not reasons.get(right)) == []


def test_no_right_is_documented_that_the_chart_does_not_grant(helm: Renderer) -> None:
    roles = of_kind(helm.render(EVERYTHING), "ClusterRole", "Role")
    assert documented().keys() <= rights(rule for each in roles for rule in each["rules"])


def test_two_releases_of_one_name_do_not_collide(helm: Renderer) -> None:
    names = [
        each["metadata"]["name"] for each in of_kind(helm.render({}), "ClusterRole", "ClusterRoleBinding")
    ]
    assert [name for name in names if NAMESPACE not in name] == []
