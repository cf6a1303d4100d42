"""The commands for jobs on a cluster against a real API server, without nodes."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from cluster.testcluster.access import ApiServer
from cluster_commands.digits_job import COMPLETE, server_spec
from manifests.jobs import body
from pslgs.cluster.access import ClusterError
from pslgs.cluster.connection import Connection, connect
from pslgs.cluster.progress import FollowedStatus
from pslgs.cluster.reader_pod import Volume, reading
from pslgs.cluster.run_files import run_files
from pslgs.cluster.training_job import read_job
from pslgs.spec import InputError

VOLUME = Volume("digits-checkpoints", "/var/lib/pslgs")


@contextmanager
def connected(kubeconfig: Path, namespace: str) -> Iterator[Connection]:
    with closing(connect(kubeconfig, None, namespace)) as connection:
        yield connection


@pytest.fixture
def digits(defined: ApiServer, namespace: str) -> ApiServer:
    """A complete job with its server's Job, in a namespace that enforces Pod Security restricted."""
    defined.run("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    storage = {"checkpoint": {"storage": {"size": "1Gi"}}}
    defined.run.apply(
        {**body(namespace=namespace, **storage), "metadata": {"name": "digits", "namespace": namespace}},
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": "digits-server",
                "namespace": namespace,
                "labels": {"pslgs.dev/job": "digits", "pslgs.dev/role": "server"},
            },
            "spec": {"suspend": True, "template": {"spec": server_spec()}},
        },
    )
    status = {"status": COMPLETE | {"training": {"epoch": 3, "epochs": 3, "steps": 9, "step": 9}}}
    path = f"/apis/pslgs.dev/v1alpha1/namespaces/{namespace}/splittrainingjobs/digits/status"
    defined.direct.merge(path, status)
    return defined


def test_a_job_and_the_template_of_its_server_are_read(digits: ApiServer, namespace: str) -> None:
    with connected(digits.kubeconfig, namespace) as access:
        job = read_job(access, "digits")
        assert (job.phase, job.has_succeeded) == ("Complete", True)
        assert FollowedStatus(access).look(job)["step"] == 9
        assert job.server_template is not None
        assert job.server_template["containers"][0]["image"] == "example/runtime:1"


def test_the_reading_pod_is_admitted_where_pod_security_is_restricted_and_is_deleted(
    digits: ApiServer, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pslgs.cluster.reader_pod.START_SECONDS", 1.0)

    def pods() -> list[str]:
        return [
            pod["metadata"]["name"] for pod in access.read(f"/api/v1/namespaces/{namespace}/pods")["items"]
        ]

    seen: list[str] = []
    with connected(digits.kubeconfig, namespace) as access:
        job = read_job(access, "digits")
        with (
            pytest.raises(ClusterError, match="has not started"),
            reading(access, job, VOLUME, pause=lambda _seconds: seen.extend(pods())),
        ):
            pytest.fail("there are no nodes")
        assert seen[0].startswith("digits-reader-")
        assert pods() == []


def test_whoever_may_only_view_sees_the_status_and_is_told_what_is_forbidden(
    digits: ApiServer, own_api_server: ApiServer, namespace: str
) -> None:
    user = f"viewer-{namespace}"
    kubeconfig = own_api_server.kubeconfig_of(user)
    read = {"verbs": ["get", "list"]}
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "v", "namespace": namespace}}
    digits.run.apply(
        role
        | {
            "kind": "Role",
            "rules": [
                {"apiGroups": ["pslgs.dev"], "resources": ["splittrainingjobs"]} | read,
                {"apiGroups": ["", "batch"], "resources": ["pods", "jobs"]} | read,
            ],
        },
        role
        | {
            "kind": "RoleBinding",
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "v"},
            "subjects": [{"kind": "User", "name": user}],
        },
    )
    with connected(kubeconfig, namespace) as access:
        job = read_job(access, "digits")
        assert FollowedStatus(access).look(job)["phase"] == "Complete"
        with (
            pytest.raises(ClusterError, match=f'pods is forbidden: User "{user}" cannot create'),
            run_files(access, job),
        ):
            pytest.fail("a pod was created")


def test_a_job_that_does_not_exist_is_told_apart(digits: ApiServer, namespace: str) -> None:
    with (
        connected(digits.kubeconfig, namespace) as access,
        pytest.raises(
            InputError, match=f"'digit' does not exist in the namespace {namespace}, which has digits"
        ),
    ):
        read_job(access, "digit")
