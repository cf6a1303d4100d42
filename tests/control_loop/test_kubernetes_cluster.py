import json

import pytest
from kubernetes.aio.client import ApiClient, Configuration

from control_loop.operating import training_job
from pslgs_operator.api.client import KubernetesClient
from pslgs_operator.api.rest import request
from pslgs_operator.api.server_status import ServerStatusClient
from pslgs_operator.gvk import (
    BY_KIND,
    EVENTS,
    FLAVORS,
    POD_PRIORITIES,
    SECRETS,
    WORKLOAD_PRIORITIES,
    WORKLOADS,
)
from pslgs_operator.informer import list_versions
from pslgs_operator.kube_client import RejectedError, RetryableError
from reconciling.cluster_contract import OWNER, Bench, ClusterContract


class TestKubernetesCluster(ClusterContract):
    @pytest.fixture
    async def bench(self, client, api_server, namespace):
        def make_job(name):
            api_server.run.apply(training_job(name, namespace, {"site": "a"}))

        def read(kind, name):
            return api_server.run.json("--namespace", namespace, "get", kind, name)

        def place(body):
            overwriting = ("apply", "--server-side", "--force-conflicts", "--filename=-")
            api_server.run(*overwriting, stdin=json.dumps(body))

        pages = ServerStatusClient.open()
        cluster = KubernetesClient(client, pages)
        yield await Bench.open(cluster, namespace, make_job, place, read)
        await pages.close()

    async def test_what_breaks_a_rule_is_refused_with_the_reason(self, bench):
        with pytest.raises(RejectedError, match=r"(?s)Invalid.*metadata.name") as refused:
            await bench.cluster.apply(bench.an_object("Not_A_Name"))
        assert refused.value.reason == "Invalid"

    async def test_what_the_operator_has_no_right_to_is_refused(self, bench):
        with pytest.raises(RejectedError) as refused:
            await bench.cluster.delete("Node", bench.namespace, "any", uid=OWNER)
        assert refused.value.reason == "Forbidden"

    async def test_events_are_shown_in_order(self, bench, api_server):
        bench.make_job("cifar")
        await TestKubernetesCluster.test_an_event_is_posted_once_and_in_a_namespace_that_is_gone_not_at_all(
            self, bench
        )
        shown = api_server.run("--namespace", bench.namespace, "get", "events", "--output=name")
        assert len(shown.split()) == 1


async def test_every_kind_has_the_path_that_the_api_server_knows(client, namespace):
    optional = {BY_KIND["PodMonitor"], WORKLOADS, FLAVORS, WORKLOAD_PRIORITIES, POD_PRIORITIES}
    for resource in set(BY_KIND.values()) - {SECRETS, EVENTS, *optional}:
        listing = await list_versions(client, resource, namespace)
        assert listing.version


async def test_objects_are_listed_in_chunks_with_their_versions(client, api_server, namespace, monkeypatch):
    monkeypatch.setattr("pslgs_operator.informer._CHUNK", 2)
    labels = {"pslgs.dev/job": "cifar"}
    made = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": f"c{n}", "namespace": namespace, "labels": labels},
        }
        for n in range(5)
    ]
    api_server.run.apply(*made)
    listing = await list_versions(client, BY_KIND["ConfigMap"], namespace)
    assert {key.name for key in listing.objects} == {f"c{n}" for n in range(5)}
    first = api_server.run.json("--namespace", namespace, "get", "configmap", "c0")
    assert listing.objects[namespace, "c0"] == first["metadata"]["resourceVersion"]


async def test_an_api_server_that_is_not_there_is_unavailable():
    async with ApiClient(Configuration(host="https://127.0.0.1:1")) as nowhere:
        with pytest.raises(RetryableError, match="the API server doesn't answer GET /api"):
            await request(nowhere, "GET", "/api")
