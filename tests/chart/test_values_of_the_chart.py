"""What each set of values makes of the chart."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest
import yaml

from chart.rendering import EVERYTHING, POD, VALUE_SETS, Renderer, environment, of_kind, only, pods
from cluster.testcluster.appimages import ROOT
from cluster.testcluster.helm import NAMESPACE
from manifests.pod_security import offences
from pslgs_operator.settings import Settings

SETS = pytest.mark.parametrize("values", VALUE_SETS.values(), ids=VALUE_SETS)
OPERATOR_LABELS = {
    "app.kubernetes.io/name": "pslgs-operator",
    "app.kubernetes.io/instance": "pslgs",
    "app.kubernetes.io/component": "operator",
}
CLUSTER_WIDE = {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}
ENDPOINT_FIELDS = ("interval", "scrapeTimeout", "relabelings", "metricRelabelings")


@SETS
def test_helm_finds_no_fault(values: Mapping[str, Any], helm: Renderer) -> None:
    done = helm.ask("lint", "--strict", values=values)
    assert done.returncode == 0, done.stdout + done.stderr


@SETS
def test_names_are_unique_and_labels_are_the_recommended_ones(
    values: Mapping[str, Any], helm: Renderer
) -> None:
    objects = helm.render(values)
    keys = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in objects]
    assert len(set(keys)) == len(keys)
    for each in objects:
        labels = each["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "pslgs-operator"
        assert labels["app.kubernetes.io/instance"] == "pslgs"
        assert labels["app.kubernetes.io/version"] == "0.1.0"
        assert ("namespace" in each["metadata"]) == (each["kind"] not in CLUSTER_WIDE)


@SETS
def test_every_pod_meets_the_restricted_standard(values: Mapping[str, Any], helm: Renderer) -> None:
    found = list(pods(helm.render(values)))
    assert len(found) == 2
    assert [list(offences(spec)) for _, spec in found] == [[], []]


@SETS
def test_the_operator_understands_its_environment(values: Mapping[str, Any], helm: Renderer) -> None:
    settings = Settings.from_environ(environment(helm.render(values)))
    assert settings.namespace == NAMESPACE
    assert settings.watch_namespaces == tuple(values.get("watchNamespaces", ()))


def test_without_values_the_operator_has_its_own_defaults(helm: Renderer) -> None:
    settings = Settings.from_environ(environment(helm.render({})))
    images = {"server_image": "pslgs-runtime:0.1.0", "client_image": "pslgs-runtime:0.1.0"}
    assert settings == Settings(
        **images,
        instance=POD,
        pod_monitor_labels={},
        monitoring_pod_labels={},
        operator_labels=OPERATOR_LABELS,
    )


def test_every_setting_can_be_set(helm: Renderer) -> None:
    objects = helm.render(EVERYTHING | {"watchNamespaces": ["team-a"]})
    assert Settings.from_environ(environment(objects)) == Settings(
        server_image="registry.example.com/mirror/pslgs-runtime:cuda",
        client_image="registry.example.com/mirror/edge/runtime:cpu",
        image_pull_policy="Always",
        image_pull_secrets=("mirror", "edge"),
        pod_security_context={
            "runAsNonRoot": True,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
            "sysctls": [],
        },
        server_resources={"requests": {"cpu": 2, "memory": "1Gi"}},
        client_resources={"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"cpu": 1}},
        namespace=NAMESPACE,
        monitoring_namespaces=("monitoring", "observability"),
        monitoring_pod_labels={"app": "prometheus"},
        operator_labels=OPERATOR_LABELS,
        kueue=True,
        pod_monitors=True,
        pod_monitor_labels={"release": "prometheus"},
        pod_monitor_endpoint={
            name: EVERYTHING["monitoring"]["podMonitors"][name] for name in ENDPOINT_FIELDS
        },
        poll_interval=timedelta(seconds=10),
        status_interval=timedelta(seconds=120),
        silence_bound=timedelta(seconds=60),
        client_series=50,
        certificate_lifetime=timedelta(days=3650),
        cluster_domain="k8s.example.com",
        watch_namespaces=("team-a",),
        lease_namespace=NAMESPACE,
        lease_name="pslgs-operator",
        instance=POD,
        liveness_port=8081,
        metrics_port=9091,
        json_logs=False,
        log_level="warning",
    )
    named = {f"PSLGS_{field.name.upper()}" for field in fields(Settings)}
    assert named <= environment(objects).keys()


def test_what_users_add_reaches_the_pod_but_not_its_selector(helm: Renderer) -> None:
    deployment = only(helm.render(EVERYTHING), "Deployment")
    metadata, spec = next(pods([deployment]))
    assert deployment["spec"]["selector"]["matchLabels"].items() <= metadata["labels"].items()
    assert {"team": "a", "pod": "c"}.items() <= metadata["labels"].items()
    assert metadata["annotations"] == {"owner": "b", "prometheus.io/scrape": "true"}
    (container,) = spec["containers"]
    assert container["image"] == f"registry.example.com/mirror/pslgs-operator@sha256:{'0' * 64}"
    assert container["volumeMounts"][-1] == {"name": "more", "mountPath": "/more", "readOnly": True}
    assert {"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"} in container["env"]
    assert spec["volumes"][-1] == {"name": "more", "configMap": {"name": "more"}}
    assert spec["imagePullSecrets"] == [{"name": "mirror"}]
    assert spec["priorityClassName"] == "system-cluster-critical"
    assert spec["nodeSelector"] == EVERYTHING["nodeSelector"]
    assert spec["tolerations"] == EVERYTHING["tolerations"]
    assert "affinity" not in spec


def test_no_user_is_prescribed_so_that_openshift_can_choose_one(helm: Renderer) -> None:
    for _, spec in pods(helm.render({})):
        contexts = [spec["securityContext"], *(each["securityContext"] for each in spec["containers"])]
        assert [each for each in contexts if {"runAsUser", "runAsGroup", "fsGroup"} & each.keys()] == []


def test_the_definition_is_the_generated_one_and_is_kept(helm: Renderer) -> None:
    definition = only(helm.render({}), "CustomResourceDefinition")
    generated = yaml.safe_load((ROOT / "crds" / "splittrainingjobs.yaml").read_text())
    assert definition["spec"] == generated["spec"]
    assert definition["metadata"]["name"] == generated["metadata"]["name"]
    assert definition["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


@pytest.mark.parametrize(
    ("crds", "found"),
    [
        pytest.param({"keep": False}, [None], id="not-kept"),
        pytest.param({"enabled": False}, [], id="not-made"),
    ],
)
def test_the_definition_can_go_with_the_release_or_be_left_to_others(
    crds: Mapping[str, bool], found: list[None], helm: Renderer
) -> None:
    definitions = of_kind(helm.render({"crds": crds}), "CustomResourceDefinition")
    assert [each["metadata"].get("annotations") for each in definitions] == found


@pytest.mark.parametrize(
    ("values", "said"),
    [
        pytest.param({"watchNamespace": []}, "'watchNamespace' not allowed", id="at-the-top"),
        pytest.param({"image": {"tagg": "1"}}, "'tagg' not allowed", id="below"),
        pytest.param({"tolerations": [{"keyy": "a"}]}, "'keyy' not allowed", id="in-a-list"),
        pytest.param({"securityContext": {"runAsuser": 1}}, "'runAsuser' not allowed", id="of-kubernetes"),
        pytest.param({"image": {"tag": 5}}, "at '/image/tag': got number, want string", id="type"),
        pytest.param({"imagePullPolicy": "always"}, "at '/imagePullPolicy': value must be one of", id="enum"),
        pytest.param({"watchNamespaces": ["A"]}, "at '/watchNamespaces/0': 'A' does not match", id="name"),
        pytest.param({"image": {"digest": "1"}}, "at '/image/digest': '1' does not match", id="digest"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name(values: Mapping[str, Any], said: str, helm: Renderer) -> None:
    assert said in helm.refusal(values)


def test_a_parent_chart_may_share_its_values(helm: Renderer) -> None:
    assert helm.render({"global": {"anything": 1}})
