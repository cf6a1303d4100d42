"""Who may connect to the operator, and what Prometheus and Grafana get."""

import json
from typing import Any

import pytest
import yaml

from chart.prometheus_operator import ENDPOINT, MONITORED
from chart.rendering import EVERYTHING, Renderer, environment, of_kind, only
from cluster.testcluster.helm import CHART


def test_the_network_admits_monitoring_and_the_test_only(helm: Renderer) -> None:
    policy = only(helm.render({}), "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress"]
    monitoring, test = policy["ingress"]
    assert monitoring["from"][0]["namespaceSelector"]["matchExpressions"][0]["values"] == ["monitoring"]
    assert monitoring["ports"] == [{"protocol": "TCP", "port": "metrics"}]
    labels = only(helm.render({}), "Pod")["metadata"]["labels"]
    assert test["from"][0]["podSelector"]["matchLabels"].items() <= labels.items()


def test_the_network_admits_the_pods_of_monitoring_that_the_values_select(helm: Renderer) -> None:
    policy = only(helm.render(EVERYTHING), "NetworkPolicy")["spec"]
    (monitoring,) = policy["ingress"][0]["from"]
    assert monitoring["podSelector"] == {"matchLabels": {"app": "prometheus"}}


def test_the_operator_may_connect_to_nothing_else_where_that_is_wished(helm: Renderer) -> None:
    policy = only(helm.render(EVERYTHING), "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    ports = [port["port"] for rule in policy["egress"] for port in rule["ports"]]
    assert ports == [53, 53, 16443, "http"]


def test_the_network_can_be_left_open(helm: Renderer) -> None:
    assert of_kind(helm.render({"networkPolicy": {"enabled": False}}), "NetworkPolicy") == []


def test_nobody_is_admitted_to_metrics_where_no_namespace_monitors(helm: Renderer) -> None:
    policy = only(helm.render({"monitoring": {"namespaces": []}}), "NetworkPolicy")["spec"]
    assert [rule["ports"][0]["port"] for rule in policy["ingress"]] == ["health"]


def test_what_monitors_is_made_where_the_cluster_knows_it(helm: Renderer) -> None:
    objects = helm.render({"monitoring": MONITORED})
    service = only(objects, "Service")
    monitor = only(objects, "ServiceMonitor")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"] == [{"port": "metrics", "path": "/metrics", **ENDPOINT}]
    assert {port["name"] for port in service["spec"]["ports"]} == {"health", "metrics"}
    for kind in ("ServiceMonitor", "PrometheusRule"):
        assert only(objects, kind)["metadata"]["labels"]["release"] == "prometheus"


def rules(helm: Renderer, base: str) -> dict[str, Any]:
    rule = {"enabled": True, "runbooksBaseUrl": base}
    return dict(only(helm.render({"monitoring": {"prometheusRule": rule}}), "PrometheusRule")["spec"])


def runbooks(groups: dict[str, Any]) -> list[str]:
    found = [rule for group in groups["groups"] for rule in group["rules"] if "alert" in rule]
    return [rule["annotations"].pop("runbook_url") for rule in found]


def test_rules_are_those_of_the_file(helm: Renderer) -> None:
    file = yaml.safe_load((CHART / "files" / "rules.yaml").read_text())
    assert file["groups"]
    assert rules(helm, "") == file


@pytest.mark.parametrize("slash", ["", "/"], ids=["no-slash", "slash"])
def test_every_alert_links_to_its_runbook_below_the_base_url(slash: str, helm: Renderer) -> None:
    base = "https://git.example.com/pslgs/docs/runbooks"
    found, file = rules(helm, base + slash), yaml.safe_load((CHART / "files" / "rules.yaml").read_text())
    names = [url.removeprefix("docs/runbooks/") for url in runbooks(file)]
    assert runbooks(found) == [f"{base}/{name}" for name in names]
    assert found == file


def test_dashboards_are_those_of_the_files(helm: Renderer) -> None:
    found = of_kind(helm.render({"monitoring": MONITORED}), "ConfigMap")
    files = {file.name: json.loads(file.read_text()) for file in CHART.glob("files/dashboards/*.json")}
    assert {name: json.loads(text) for each in found for name, text in each["data"].items()} == files
    assert len(found) == len(files) >= 2
    for each in found:
        assert each["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert each["metadata"]["annotations"]["grafana_folder"] == "Training"


def test_without_the_prometheus_operator_nothing_of_it_is_made_or_watched(helm: Renderer) -> None:
    objects = helm.render({"monitoring": MONITORED}, knows=())
    assert {each["apiVersion"] for each in objects if "coreos" in each["apiVersion"]} == set()
    assert environment(objects)["PSLGS_POD_MONITORS"] == "false"
    verbs = [
        verb
        for role in of_kind(objects, "ClusterRole")
        for rule in role["rules"]
        if "monitoring.coreos.com" in rule["apiGroups"]
        for verb in rule["verbs"]
    ]
    assert verbs == ["list", "delete"]  # of PodMonitors that were made while it was there


def test_nothing_monitors_unless_asked(helm: Renderer) -> None:
    kinds = {each["kind"] for each in helm.render({})}
    assert kinds & {"ServiceMonitor", "PodMonitor", "PrometheusRule", "ConfigMap"} == set()
