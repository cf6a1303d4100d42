import pytest
from kubernetes.aio.client import Configuration

from pslgs_operator.api.observed import ObservedApiClient, described
from pslgs_operator.api.rest import request
from pslgs_operator.gvk import JOBS, NODES, PODS, TRAINING_JOBS
from pslgs_operator.kube_client import RetryableError


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        pytest.param("GET", PODS.path("default"), ("list", "pods"), id="list"),
        pytest.param("GET", NODES.path(None), ("list", "nodes"), id="list of a cluster's kind"),
        pytest.param("GET", PODS.path(None), ("list", "pods"), id="list in all namespaces"),
        pytest.param("GET", TRAINING_JOBS.path("a", "b"), ("get", "splittrainingjobs"), id="get"),
        pytest.param("POST", JOBS.path("default"), ("create", "jobs"), id="create"),
        pytest.param("DELETE", JOBS.path("default", "a"), ("delete", "jobs"), id="delete"),
        pytest.param(
            "PATCH",
            TRAINING_JOBS.path("a", "b", "status"),
            ("patch", "splittrainingjobs/status"),
            id="subresource",
        ),
        pytest.param("GET", "/apis/pslgs.dev/v1alpha1", ("list", ""), id="discovery"),
        pytest.param("GET", "/", ("list", ""), id="root"),
    ],
)
def test_requests_are_described_as_rights_are(method, path, expected):
    assert described(method, path) == expected


async def test_a_request_without_an_answer_is_counted():
    seen = []
    async with ObservedApiClient(Configuration(host="https://127.0.0.1:1")) as client:
        client.on_answer = lambda *answer: seen.append(answer)
        with pytest.raises(RetryableError):
            await request(client, "GET", PODS.path("default"))
    assert seen == [("list", "pods", "none")]


async def test_a_watch_is_not_counted():
    seen = []
    async with ObservedApiClient(Configuration(host="https://127.0.0.1:1")) as client:
        client.on_answer = lambda *answer: seen.append(answer)
        with pytest.raises(RetryableError):
            await request(client, "GET", PODS.path("default"), query={"watch": "true"})
    assert seen == []
