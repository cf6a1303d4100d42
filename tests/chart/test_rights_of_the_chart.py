"""The operator may do exactly what the plain manifest says, everywhere or in some namespaces."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart.rendering import NAMESPACE, VALUE_SETS, Helm, Objects, of_kind

PLAIN = Path(__file__).parents[1] / "cluster" / "install" / "operator.yaml"
NODES = {("", "nodes", "list"), ("", "nodes", "watch")}
MONITORS = {("monitoring.coreos.com", "podmonitors", verb) for verb in ("list", "watch", "create", "patch")}

Right = tuple[str, str, str]


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
        found[where] = roles[reference["kind"], where, reference["name"]]
    return found


@pytest.fixture(scope="session")
def plain() -> set[Right]:
    return granted(list(yaml.safe_load_all(PLAIN.read_text())))[None]


def test_rights_everywhere_are_those_of_the_plain_manifest(helm: Helm, plain: set[Right]) -> None:
    assert granted(helm.render({})) == {None: plain}


def test_rights_in_namespaces_are_the_same_but_for_nodes(helm: Helm, plain: set[Right]) -> None:
    found = granted(helm.render(VALUE_SETS["namespaced"]))
    assert found == {None: NODES, "team-a": plain - NODES, "team-b": plain - NODES}


def test_pod_monitors_need_rights_of_their_own(helm: Helm, plain: set[Right]) -> None:
    assert granted(helm.render(VALUE_SETS["everything"])) == {None: plain | MONITORS}


def test_rights_can_be_left_to_others(helm: Helm, plain: set[Right]) -> None:
    assert granted(helm.render(VALUE_SETS["no-rights"])) == {}
    assert granted(helm.render(VALUE_SETS["no-cluster-rights"])) == {"team-a": plain - NODES}


def test_nothing_cluster_wide_is_made_without_cluster_rights(helm: Helm) -> None:
    objects = helm.render(VALUE_SETS["no-cluster-rights"])
    assert [each["kind"] for each in objects if "namespace" not in each["metadata"]] == []


@pytest.mark.parametrize("values", VALUE_SETS.values(), ids=VALUE_SETS)
def test_no_right_is_a_wildcard(values: Mapping[str, Any], helm: Helm) -> None:
    rules = [rule for each in of_kind(helm.render(values), "ClusterRole", "Role") for rule in each["rules"]]
    assert [right for right in rights(rules) if "*" in right] == []


def test_two_releases_of_one_name_do_not_collide(helm: Helm) -> None:
    names = [
        each["metadata"]["name"] for each in of_kind(helm.render({}), "ClusterRole", "ClusterRoleBinding")
    ]
    assert [name for name in names if NAMESPACE not in name] == []
