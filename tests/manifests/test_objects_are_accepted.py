"""What is made for a job is what the API server wants."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from cluster.testcluster.access import ApiServer
from cluster.testcluster.process import ClusterError
from manifests.jobs import NOW, body, clients, job
from pslgs.spec import load_job
from pslgs_operator import names
from pslgs_operator.actions import IssueClient, IssueServer
from pslgs_operator.certificate_authority import advanced, authority_secret
from pslgs_operator.certificates import certificate_secret
from pslgs_operator.endpoint import Endpoint
from pslgs_operator.manifests.client import client_job
from pslgs_operator.manifests.server import server_job
from pslgs_operator.manifests.supporting import service, supporting_objects
from pslgs_operator.placement import Placement
from pslgs_operator.settings import Settings
from pslgs_operator.training_job import TrainingJob

SETTINGS = Settings()
TEMPLATE = {
    "metadata": {"labels": {"team": "a"}},
    "spec": {
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": "x"}},
            {"name": "scratch", "emptyDir": {"medium": "Memory"}},
        ],
        "containers": [
            {
                "name": "client",
                "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}},
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            }
        ],
    },
}
JOBS = {
    "plain": {},
    "stored": {"checkpoint": {"storage": {"size": "1Gi"}}, "server": {"gpus": 1}},
    "without-tls": {"transport": {"tls": "Disabled"}},
    "node-port": {"server": {"service": {"type": "NodePort", "address": "h"}}},
    "load-balancer": {"server": {"service": {"type": "LoadBalancer", "annotations": {"a.b/c": "d"}}}},
    "overlaid": {"clients": clients(template=TEMPLATE)},
}
EXAMPLES = Path(__file__).parents[2] / "examples"
PLACEMENT = Placement("edge-0.example.com-0", "edge-0.example.com", 0)


def children(wanted: TrainingJob) -> list[dict[str, Any]]:
    """Everything that is made for a job with one client."""
    return [
        *(make(wanted, SETTINGS) for make in supporting_objects(wanted, SETTINGS).values()),
        *secrets(wanted),
        server_job(wanted, 2, SETTINGS),
        client_job(wanted, PLACEMENT, Endpoint("h", 7443), SETTINGS),
    ]


def secrets(wanted: TrainingJob) -> list[dict[str, Any]]:
    authority = advanced(None, wanted, NOW)
    issue = (IssueServer(("h",)), IssueClient(PLACEMENT.client))
    return [
        authority_secret(authority, wanted, wanted.namespace),
        *(certificate_secret(wanted, authority, each, SETTINGS, NOW) for each in issue),
    ]


def apply(api_server: ApiServer, manifests: Sequence[Mapping[str, Any]], *more: str) -> None:
    listed = {"apiVersion": "v1", "kind": "List", "items": manifests}
    manager = f"--field-manager={names.FIELD_MANAGER}"
    api_server.run(
        "apply",
        "--server-side",
        "--force-conflicts",
        manager,
        "--filename=-",
        *more,
        stdin=json.dumps(listed),
    )


def versions(api_server: ApiServer, namespace: str) -> dict[str, str]:
    kinds = "configmaps,services,networkpolicies,persistentvolumeclaims,secrets,jobs"
    found = api_server.run.json("get", kinds, f"--namespace={namespace}", f"--selector={names.JOB_LABEL}")
    return {
        f"{each['kind']}/{each['metadata']['name']}": each["metadata"]["resourceVersion"]
        for each in found["items"]
        if each["kind"] in {"ConfigMap", "Service", "NetworkPolicy", "Secret"}
    }


@pytest.fixture
def owner(defined: ApiServer, namespace: str) -> str:
    """The uid of a job that is there; children of one that is not go as soon as they are seen."""
    wanted = body(namespace=namespace) | {"metadata": {"name": "digits", "namespace": namespace}}
    defined.run.apply(wanted)
    found = defined.run.json("get", "splittrainingjob", "digits", f"--namespace={namespace}")
    return str(found["metadata"]["uid"])


@pytest.mark.parametrize("spec", JOBS.values(), ids=JOBS)
def test_all_children_of_a_job_are_accepted(api_server, namespace, spec):
    apply(api_server, children(job("n" * 40, namespace, **spec)), "--dry-run=server")


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_all_children_of_an_example_are_accepted(api_server, namespace, example):
    spec = load_job(example).spec.model_dump(mode="json", by_alias=True, exclude_unset=True)
    apply(api_server, children(job("example", namespace, **spec)), "--dry-run=server")


@pytest.mark.parametrize("spec", JOBS.values(), ids=JOBS)
def test_its_pods_are_admitted_to_a_restricted_namespace(api_server, namespace, spec):
    api_server.run("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    api_server.run(
        "wait", "--for=create", "serviceaccount/default", f"--namespace={namespace}", "--timeout=30s"
    )
    templates = [
        child["spec"]["template"]
        for child in children(job("digits", namespace, **spec))
        if child["kind"] == "Job"
    ]
    pods = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            **template,
            "metadata": template["metadata"] | {"name": f"pod-{number}", "namespace": namespace},
        }
        for number, template in enumerate(templates)
    ]
    apply(api_server, pods, "--dry-run=server")


def test_applying_them_again_changes_nothing(api_server, namespace, owner):
    made = children(job("digits", namespace, uid=owner, **JOBS["stored"]))
    apply(api_server, made)
    before = versions(api_server, namespace)
    apply(api_server, made)
    assert len(before) == 6
    assert versions(api_server, namespace) == before


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param({}, {"type": "NodePort", "address": "h"}, id="headless-to-node-port"),
        pytest.param({"type": "LoadBalancer"}, {}, id="load-balancer-to-headless"),
    ],
)
def test_a_service_cannot_become_headless_or_cease_to_be_so_it_is_replaced(
    api_server, namespace, owner, before, after
):
    old, new = (
        service(job("digits", namespace, uid=owner, server={"service": each}), SETTINGS)
        for each in (before, after)
    )
    apply(api_server, [old])
    with pytest.raises(ClusterError, match="clusterIP"):
        apply(api_server, [new])
    api_server.run("delete", "service", "digits-server", f"--namespace={namespace}", "--wait=false")
    apply(api_server, [new])


def test_services_of_two_other_types_become_each_other(api_server, namespace, owner):
    for kind in ("NodePort", "LoadBalancer", "NodePort"):
        server = {"service": {"type": kind, "address": "h"}}
        apply(api_server, [service(job("digits", namespace, uid=owner, server=server), SETTINGS)])
