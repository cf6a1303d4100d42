"""What values change in the operator's Deployment, and in the names and the namespace of all objects."""

from collections.abc import Mapping
from typing import Any

import pytest

from chart.rendering import Renderer, only, pods

POD = "spec.template.spec"
CONTAINER = f"{POD}.containers.0"


def at(found: Any, path: str) -> Any:
    """A field by its path; None if it is absent."""
    for name in path.split("."):
        found = found[int(name)] if isinstance(found, list) else (found or {}).get(name)
    return found


@pytest.mark.parametrize(
    ("values", "path", "expected"),
    [
        pytest.param({}, "spec.revisionHistoryLimit", 10, id="revisions"),
        pytest.param({"revisionHistoryLimit": 0}, "spec.revisionHistoryLimit", 0, id="no-revisions"),
        pytest.param(
            {"deploymentAnnotations": {"a": "b"}}, "metadata.annotations", {"a": "b"}, id="annotations"
        ),
        pytest.param(
            {"deploymentAnnotations": {"a": "b"}}, "spec.template.metadata.annotations", None, id="not-pod"
        ),
        pytest.param({}, f"{POD}.terminationGracePeriodSeconds", 30, id="grace"),
        pytest.param(
            {"terminationGracePeriodSeconds": 5}, f"{POD}.terminationGracePeriodSeconds", 5, id="grace-5"
        ),
        pytest.param({}, f"{POD}.hostNetwork", None, id="pod-network"),
        pytest.param({}, f"{POD}.dnsPolicy", None, id="dns"),
        pytest.param({"hostNetwork": True}, f"{POD}.hostNetwork", True, id="host-network"),
        pytest.param({"hostNetwork": True}, f"{POD}.dnsPolicy", "ClusterFirstWithHostNet", id="host-dns"),
        pytest.param(
            {"hostNetwork": True, "dnsPolicy": "Default"}, f"{POD}.dnsPolicy", "Default", id="dns-policy"
        ),
        pytest.param(
            {"dnsPolicy": "None", "dnsConfig": {"nameservers": ["192.0.2.1"]}},
            f"{POD}.dnsConfig",
            {"nameservers": ["192.0.2.1"]},
            id="dns-config",
        ),
        pytest.param({"priorityClassName": "high"}, f"{POD}.priorityClassName", "high", id="priority"),
        pytest.param({}, f"{CONTAINER}.startupProbe.failureThreshold", 60, id="startup"),
        pytest.param(
            {"startupProbe": {"failureThreshold": 300}},
            f"{CONTAINER}.startupProbe.failureThreshold",
            300,
            id="slow",
        ),
        pytest.param(
            {"livenessProbe": {"timeoutSeconds": 20}},
            f"{CONTAINER}.livenessProbe",
            {
                "httpGet": {"path": "/healthz", "port": "health"},
                "periodSeconds": 30,
                "timeoutSeconds": 20,
                "failureThreshold": 3,
            },
            id="liveness",
        ),
    ],
)
def test_a_value_sets_a_field(values: Mapping[str, Any], path: str, expected: object, helm: Renderer) -> None:
    assert at(only(helm.render(values), "Deployment"), path) == expected


def test_the_name_of_the_chart_in_names_can_be_replaced_without_changing_the_selector(helm: Renderer) -> None:
    before, after = (
        only(helm.render({}), "Deployment"),
        only(helm.render({"nameOverride": "split"}), "Deployment"),
    )
    assert (before["metadata"]["name"], after["metadata"]["name"]) == (
        "pslgs-operator",
        "pslgs-split-operator",
    )
    assert before["spec"]["selector"] == after["spec"]["selector"]


def test_the_beginning_of_names_can_be_replaced(helm: Renderer) -> None:
    values = {"nameOverride": "ignored", "fullnameOverride": "split"}
    assert only(helm.render(values), "Deployment")["metadata"]["name"] == "split-operator"


def test_all_objects_can_be_put_into_another_namespace(helm: Renderer) -> None:
    objects = helm.render(
        {"namespaceOverride": "elsewhere", "monitoring": {"serviceMonitor": {"enabled": True}}}
    )
    assert {each["metadata"].get("namespace") for each in objects} == {None, "elsewhere"}
    assert only(objects, "ClusterRoleBinding")["subjects"][0]["namespace"] == "elsewhere"
    assert only(objects, "ClusterRoleBinding")["metadata"]["name"] == "elsewhere:pslgs-operator"
    (_, test), _ = pods(objects)
    assert test["containers"][0]["args"][1] == "http://pslgs-operator.elsewhere.svc:8080/healthz"


ZONES = {"maxSkew": 2, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule"}
NODES = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [([], [NODES]), ([ZONES], [ZONES]), ([ZONES, NODES], [ZONES, NODES])],
    ids=["default", "zones", "both"],
)
def test_pods_are_spread_as_the_value_says(
    given: list[dict[str, Any]], expected: list[dict[str, Any]], helm: Renderer
) -> None:
    deployment = only(helm.render({"replicas": 2, "topologySpreadConstraints": given}), "Deployment")
    selector = {"labelSelector": deployment["spec"]["selector"]}
    assert at(deployment, POD)["topologySpreadConstraints"] == [each | selector for each in expected]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        pytest.param({"startupProbe": {"httpGet": {}}}, "'httpGet' not allowed", id="probe"),
        pytest.param({"dnsPolicy": "Host"}, "at '/dnsPolicy': value must be one of", id="dns"),
        pytest.param({"revisionHistoryLimit": -1}, "at '/revisionHistoryLimit': minimum", id="revisions"),
        pytest.param(
            {"namespaceOverride": "A"}, "at '/namespaceOverride': 'A' does not match", id="namespace"
        ),
    ],
)
def test_a_wrong_value_is_refused(values: Mapping[str, Any], said: str, helm: Renderer) -> None:
    assert said in helm.refusal(values)
