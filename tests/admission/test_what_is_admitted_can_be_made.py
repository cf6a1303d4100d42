"""A manifest that the API server admits can become objects, or is refused with the path of the field."""

import asyncio
import string
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, note, settings
from hypothesis import strategies as st
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import load_kube_config

from cluster.testcluster.access import ApiServer
from fake_api.server import Answer, Request
from pslgs_operator import names
from reconciling.api_contract import Api
from reconciling.life import KEY, Operator, World

EXAMPLES = 60

_ALNUM = string.ascii_lowercase + string.digits
LABEL_NAMES = st.one_of(
    st.sampled_from(["a", "A.b_c-d", "x" * 63, "site", "0"]),
    st.text(_ALNUM + "-_.", min_size=1, max_size=63),
)
PREFIXES = st.sampled_from(["", "example.com/", f"{'p' * 63}.{'q' * 63}.{'r' * 63}.{'s' * 61}/", "a/"])
KEYS = st.builds(lambda prefix, name: prefix + name, PREFIXES, LABEL_NAMES)
LABEL_VALUES = st.one_of(
    st.sampled_from(["", "true", "x" * 63, "1", "a.b_c-D"]), st.text(_ALNUM + "-_.", max_size=64)
)
LABELS = st.dictionaries(KEYS, LABEL_VALUES, max_size=3)
ANNOTATIONS = st.dictionaries(KEYS, st.one_of(st.just("ä\n" * 50), st.text(max_size=50)), max_size=3)
TEXTS = st.one_of(
    st.sampled_from(
        ["standard", "Fast SSD", "a.b", "-a", "x" * 254, "edge.example.com", "::1", "10.0.0.1", "_"]
    ),
    st.text(string.printable, min_size=1, max_size=20),
)
NAMES = st.one_of(
    st.sampled_from(["a", "0", "x" * 40, "a-0", "digits"]), st.text(_ALNUM + "-.", min_size=1, max_size=41)
)
NODES = st.one_of(
    st.sampled_from(["edge-0", "ip-10-0-0-1.eu-west-1.compute.internal", ".".join(["n" * 50] * 4), "0"]),
    st.lists(st.text(_ALNUM, min_size=1, max_size=63), min_size=1, max_size=4).map(".".join),
)
SIZES = st.sampled_from(["1Gi", "0", "1", "1e3", "100m", "-1Gi", "1.5Ti", "+5", "9E", "1Ki"])
METADATA = st.fixed_dictionaries({}, optional={"labels": LABELS, "annotations": ANNOTATIONS})
POD_SPECS = st.fixed_dictionaries(
    {},
    optional={
        "nodeSelector": LABELS,
        "tolerations": st.just([{"key": "edge", "operator": "Exists"}]),
        "priorityClassName": st.just("low"),
        "hostAliases": st.just([{"ip": "10.0.0.1", "hostnames": ["a"]}]),
        "volumes": st.just([{"name": "data", "hostPath": {"path": "/data"}}]),
        "terminationGracePeriodSeconds": st.sampled_from([0, 5]),
    },
)
TEMPLATES = st.fixed_dictionaries({}, optional={"metadata": METADATA, "spec": POD_SPECS})
SERVICES = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["ClusterIP", "NodePort", "LoadBalancer"]),
        "annotations": ANNOTATIONS,
        "address": TEXTS,
    },
)
SPECS = st.fixed_dictionaries(
    {
        "clients": st.fixed_dictionaries(
            {"nodeSelector": LABELS.filter(bool)},
            optional={"perNode": st.sampled_from([1, 2]), "template": TEMPLATES},
        )
    },
    optional={
        "server": st.fixed_dictionaries(
            {},
            optional={
                "service": SERVICES,
                "template": TEMPLATES,
                "gpus": st.sampled_from([0, 1]),
                "gpuResource": st.one_of(st.just("amd.com/gpu"), KEYS),
            },
        ),
        "checkpoint": st.fixed_dictionaries(
            {
                "storage": st.one_of(
                    st.fixed_dictionaries({"size": SIZES}, optional={"storageClassName": TEXTS}),
                    st.fixed_dictionaries({"claimName": TEXTS}),
                )
            }
        ),
        "transport": st.fixed_dictionaries({"tls": st.sampled_from(["Mutual", "Disabled"])}),
        "childMetadata": METADATA,
    },
)  # fmt: skip


def manifest(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    model = {"architecture": "mlp", "cutLayer": "hidden1"}
    data = {"train": {"format": "ScikitLearn", "name": "digits"}}
    kind = {"apiVersion": "pslgs.dev/v1alpha1", "kind": "SplitTrainingJob", "metadata": {"name": name}}
    return {**kind, "spec": {"model": model, "data": data, "epochs": 1, **spec}}


async def children(job: dict[str, Any], node: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return what an operator creates for a job on a node, and the status that it writes."""
    world, made = World(), []
    metadata = {"name": job["metadata"]["name"], "namespace": KEY.namespace}
    world.put({**job, "metadata": metadata})
    world.add_node(node, **job["spec"]["clients"]["nodeSelector"])
    operator = Operator(world)
    carry = operator.cluster.transport

    async def transport(request: Request) -> Answer:
        if request.method == "POST" and not request.path.endswith("/events"):
            made.append(request.body)
        return await carry(request)

    operator.cluster.transport = transport
    key = KEY._replace(name=metadata["name"])
    for _ in range(4):
        await operator.look(key)
        for service in world.of("Service").values():
            if service["spec"]["type"] == "LoadBalancer":
                world.put({**service, "status": {"loadBalancer": {"ingress": [{"ip": "10.1.1.1"}]}}})
        operator.watches.deliver()
        world.later(1)
    return made, dict(world.of("SplitTrainingJob")[metadata["name"]].get("status", {}))


_PATHS = {
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
    "Service": "/api/v1/namespaces/{}/services",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "PersistentVolumeClaim": "/api/v1/namespaces/{}/persistentvolumeclaims",
    "Pod": "/api/v1/namespaces/{}/pods",
}


@dataclass(frozen=True)
class Admission:
    """What a real API server says to objects, none of which it keeps."""

    runner: asyncio.Runner
    api: Api

    def admits(self, path: str, body: dict[str, Any]) -> tuple[dict[str, Any] | None, dict[str, Any]]:
        """Return the object as it would be kept, or None and the refusal."""
        status, [answer] = self.runner.run(self.api.send("POST", path, body, dryRun="All"))
        return (answer, {}) if status == 201 else (None, answer)

    def refusal_of_child(self, child: dict[str, Any]) -> str:
        """Return why a child is not admitted; empty if it is."""
        namespace = self.api.namespace
        placed = {**child, "metadata": {**child["metadata"], "namespace": namespace}}
        admitted, refusal = self.admits(_PATHS[child["kind"]].format(namespace), placed)
        if admitted is None or child["kind"] != "Job":
            return "" if admitted else f"{child['kind']}: {refusal['message']}"
        template = admitted["spec"]["template"]
        metadata = {**template["metadata"], "name": f"{child['metadata']['name']}-abcde"}
        pod = {"apiVersion": "v1", "kind": "Pod", **template, "metadata": metadata}
        pod["spec"].pop("priorityClassName", None)  # which nobody has made here
        admitted, refusal = self.admits(_PATHS["Pod"].format(namespace), pod)
        return "" if admitted else f"its pod: {refusal['message']}"


@pytest.fixture
def admission(defined: ApiServer, namespace: str) -> Iterator[Admission]:
    defined.run("wait", "--for=create", "serviceaccount/default", f"--namespace={namespace}", "--timeout=30s")

    async def connect() -> ApiClient:
        configuration = Configuration()
        await load_kube_config(config_file=str(defined.kubeconfig), client_configuration=configuration)
        return ApiClient(configuration)

    async def never(_: object) -> None:
        raise AssertionError

    with asyncio.Runner() as runner:
        client = runner.run(connect())
        yield Admission(runner, Api(client, namespace, never))
        runner.run(client.close())


def _accepted(status: dict[str, Any]) -> dict[str, Any]:
    return next(each for each in status["conditions"] if each["type"] == "Accepted")


@pytest.mark.slow
@given(name=NAMES, node=NODES, spec=SPECS)
@example("x" * 40, ".".join(["n" * 50] * 4), {"clients": {"nodeSelector": {"a": ""}}})
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),  # a simpler example would take minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_what_is_admitted_can_be_made(admission, name, node, spec):
    path = f"/apis/pslgs.dev/v1alpha1/namespaces/{admission.api.namespace}/splittrainingjobs"
    job, refusal = admission.admits(path, manifest(name, spec))
    if job is None:
        assert refusal["reason"] == "Invalid", refusal["message"]
        assert all(each["field"] for each in refusal["details"]["causes"]), refusal["message"]
        return
    of_the_node = {"kind": "Node", "metadata": {"name": node, "labels": spec["clients"]["nodeSelector"]}}
    if admission.admits("/api/v1/nodes", of_the_node)[0] is None:
        return
    made, status = admission.runner.run(children(job, node))
    accepted = _accepted(status)
    if accepted["status"] == "False":
        assert "spec." in accepted["message"], accepted
        return
    refusals = [each for each in map(admission.refusal_of_child, made) if each]
    note(f"status: {status}")
    assert not refusals
    kinds = {each["kind"] for each in made}
    assert {"ConfigMap", "Service", "NetworkPolicy"} <= kinds, status
    assert {each["metadata"]["labels"][names.ROLE_LABEL] for each in made if each["kind"] == "Job"} == {
        "server",
        "client",
    }, status
