"""One or several pods of the operator."""

from chart.rendering import Renderer, of_kind, only


def test_a_single_pod_is_replaced_by_a_ready_one_and_has_no_budget(helm: Renderer) -> None:
    objects = helm.render({})
    spec = only(objects, "Deployment")["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert of_kind(objects, "PodDisruptionBudget") == []


def test_two_pods_are_spread_over_nodes_and_have_a_budget(helm: Renderer) -> None:
    objects = helm.render({"replicas": 2})
    spec = only(objects, "Deployment")["spec"]
    (spread,) = spec["template"]["spec"]["topologySpreadConstraints"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["replicas"] == 2
    assert spread["topologyKey"] == "kubernetes.io/hostname"
    budget = only(objects, "PodDisruptionBudget")["spec"]
    assert budget["maxUnavailable"] == 1
    for selector in (spread["labelSelector"], budget["selector"], spec["selector"]):
        assert selector["matchLabels"].items() <= labels.items()


def test_the_kubelet_asks_whether_it_lives_and_whether_it_is_ready(helm: Renderer) -> None:
    (container,) = only(helm.render({}), "Deployment")["spec"]["template"]["spec"]["containers"]
    paths = {probe: container[probe]["httpGet"]["path"] for probe in container if probe.endswith("Probe")}
    assert paths == {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
