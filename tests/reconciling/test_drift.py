"""Which differences between a rendered child and the live object are mended, and with which patch."""

import pytest

from fake_api.patches import merge_patched
from pslgs_operator import names
from pslgs_operator.drift import changed_fields, merge_patch

OWNER = {"apiVersion": "v1", "kind": "SplitTrainingJob", "name": "digits", "uid": "u", "controller": True}
OTHER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "other", "uid": "o"}


def rendered(kind="Service", metadata=None, **fields):
    own = {"labels": {"a": "b"}, "annotations": {}, "ownerReferences": [OWNER]}
    identity = {"name": "x", "namespace": "lab"}
    return {"apiVersion": "v1", "kind": kind, "metadata": identity | own | (metadata or {}), **fields}


CLIENTS = {"podSelector": {"matchLabels": {"role": "client"}}}
ANY_NAMESPACE = {"from": [{**CLIENTS, "namespaceSelector": {}}], "ports": [{"port": 1}]}
POLICY = {
    "podSelector": {"matchLabels": {"job": "digits"}},
    "policyTypes": ["Ingress"],
    "ingress": [{"from": [CLIENTS], "ports": [{"port": 1}]}],
}
NARROWED = {**POLICY["podSelector"], "matchExpressions": [{"key": "x"}]}
SERVICE = {"type": "ClusterIP", "selector": {"job": "digits"}, "ports": [{"name": "grpc", "port": 7443}]}
DEFAULTED = {
    "clusterIP": "10.0.0.7",
    "sessionAffinity": "None",
    "ports": [{"name": "grpc", "port": 7443, "protocol": "TCP", "nodePort": 30123}],
}


def policy(**changes):
    return rendered("NetworkPolicy", spec={**POLICY, **changes})


def service(**changes):
    return rendered(spec={**SERVICE, **changes})


def data(**values):
    return rendered("ConfigMap", data=values)


@pytest.mark.parametrize(
    ("wanted", "live"),
    [
        pytest.param(service(), service(**DEFAULTED), id="defaults of a Service"),
        pytest.param(data(), rendered("ConfigMap"), id="an empty map that is left out"),
        pytest.param(
            policy(ingress=[]), rendered("NetworkPolicy", spec={**POLICY, "ingress": None}),
            id="an empty list that is left out",
        ),
        pytest.param(
            rendered(), rendered(metadata={"labels": {"a": "b", "team": "vision"}}), id="a label of another"
        ),
        pytest.param(rendered(), rendered(metadata={"ownerReferences": [OTHER, OWNER]}), id="another owner"),
        pytest.param(rendered(), rendered(status={"loadBalancer": {}}), id="a status"),
    ],
)  # fmt: skip
def test_what_others_add_beside_is_left_alone(wanted, live):
    assert merge_patch(wanted, live) == {}


@pytest.mark.parametrize(
    ("wanted", "live"),
    [
        pytest.param(policy(), policy(ingress=[{}]), id="a policy that lets everybody in"),
        pytest.param(policy(), policy(ingress=[]), id="a policy that lets nobody in"),
        pytest.param(policy(), policy(ingress=[ANY_NAMESPACE]), id="a policy for pods of every namespace"),
        pytest.param(policy(), policy(podSelector=NARROWED), id="a policy that selects no pod any more"),
        pytest.param(policy(), policy(egress=[{}]), id="a policy with a further rule"),
        pytest.param(service(), service(selector={"job": "digits", "x": "y"}), id="a narrower selector"),
        pytest.param(service(), service(type="NodePort"), id="another type"),
        pytest.param(service(), service(ports=[{"name": "grpc", "port": 1}]), id="another port"),
        pytest.param(service(), service(ports=[*SERVICE["ports"], {"port": 1}]), id="a further port"),
        pytest.param(data(a="1"), data(a="2"), id="other data"),
        pytest.param(data(a="1"), data(a="1", b="2"), id="further data"),
        pytest.param(rendered(), rendered(metadata={"labels": {}}), id="a lost label"),
        pytest.param(rendered(), rendered(metadata={"ownerReferences": [OTHER]}), id="a lost owner"),
        pytest.param(service(), rendered(), id="no spec"),
    ],
)
def test_what_changes_the_meaning_is_mended(wanted, live):
    patch = merge_patch(wanted, live)
    assert list(changed_fields(patch))
    mended = merge_patched(live, patch)
    assert merge_patch(wanted, mended) == {}
    there = live["metadata"]["ownerReferences"]
    assert all(each in mended["metadata"]["ownerReferences"] for each in there)


def test_a_label_that_a_user_chose_once_is_removed_and_others_stay():
    chosen = {names.KEYS_ANNOTATION: "labels/queue", "seen": "yes"}
    live = rendered(metadata={"labels": {"a": "b", "queue": "night", "team": "v"}, "annotations": chosen})
    mended = merge_patched(live, merge_patch(rendered(), live))
    assert mended["metadata"]["labels"] == {"a": "b", "team": "v"}
    assert mended["metadata"]["annotations"] == {"seen": "yes"}
