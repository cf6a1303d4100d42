from pathlib import Path

import pytest

from cluster.testcluster.access import ApiServer
from cluster.testcluster.process import ClusterError, Processes

READ_PODS = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "Role",
    "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}],
}


def test_a_namespace_is_there_and_empty(api_server: ApiServer, namespace: str) -> None:
    assert api_server.run.json("get", "namespace", namespace)["status"]["phase"] == "Active"
    assert api_server.run.json("--namespace", namespace, "get", "pods")["items"] == []


def test_requests_are_counted_by_user_verb_and_resource(own_api_server: ApiServer, namespace: str) -> None:
    before = own_api_server.mark()
    for _ in range(2):
        own_api_server.run("--namespace", namespace, "get", "secrets")
    counted = own_api_server.count_requests(before)
    assert counted["admin", "list", "secrets"] == 2
    assert counted["admin", "list", "pods"] == 0


def test_a_user_may_do_what_a_role_allows_and_nothing_else(own_api_server: ApiServer, namespace: str) -> None:
    user = own_api_server.kubeconfig_of("ann")
    metadata = {"name": "read-pods", "namespace": namespace}
    own_api_server.run.apply(READ_PODS | {"metadata": metadata})
    own_api_server.run(
        *("--namespace", namespace, "create", "rolebinding", "ann", "--role=read-pods", "--user=ann")
    )
    as_ann = ApiServer(user, own_api_server.kubectl).run
    as_ann("--namespace", namespace, "get", "pods")
    with pytest.raises(ClusterError, match='User "ann" cannot list resource "secrets"'):
        as_ann("--namespace", namespace, "get", "secrets")


@pytest.mark.slow
def test_objects_outlive_a_restart_of_the_api_server(own_api_server: ApiServer, namespace: str) -> None:
    own_api_server.restart()
    assert own_api_server.run.json("get", "namespace", namespace)["status"]["phase"] == "Active"


@pytest.mark.slow
def test_controllers_that_ended_without_the_api_server_are_back_with_it(
    own_api_server: ApiServer, namespace: str
) -> None:
    Processes(own_api_server.own().state).stop("kube-controller-manager")
    own_api_server.restart()
    run = own_api_server.run
    run("--namespace", namespace, "delete", "serviceaccount/default", "--ignore-not-found")
    run("--namespace", namespace, "wait", "--for=create", "--timeout=60s", "serviceaccount/default")


def test_an_existing_cluster_is_not_taken_apart() -> None:
    with pytest.raises(ClusterError, match="existing cluster"):
        ApiServer(Path("kubeconfig"), Path("kubectl")).restart()
