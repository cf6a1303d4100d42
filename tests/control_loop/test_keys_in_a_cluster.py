"""Who reaches which private key, and how Secrets are mended, against a real API server."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from cluster.testcluster.process import ClusterError
from control_loop.operating import World, eventually
from pslgs_operator import names

pytestmark = pytest.mark.slow  # an operator is started

JOB = "digits"
OPERATOR = "pslgs-system"
SERVERS = names.server_identity_name(JOB)


@pytest.fixture
def begun(world: World) -> World:
    """A job whose children are there."""
    world.apply(JOB)
    eventually(lambda: len(world.names("jobs")) == 3)
    return world


def authority(world: World) -> str:
    """Name the Secret of the job's authority."""
    return names.authority_name(world.get("splittrainingjob", JOB)["metadata"]["uid"])


def secret(world: World, name: str, namespace: str) -> dict[str, Any]:
    """Read a Secret as an administrator; empty if there is none."""
    output = world.server.run(
        "--namespace", namespace, "get", "secret", name, "--output=json", "--ignore-not-found"
    )
    return dict(json.loads(output)) if output else {}


def is_whole(world: World) -> bool:
    """Return whether all three certificates are there and trust the authority."""
    issuer = secret(world, authority(world), OPERATOR)
    found = world.all("secrets", names.JOB_LABEL)
    return bool(issuer) and [each["data"].get("ca.crt") for each in found] == 3 * [issuer["data"]["ca.crt"]]


def jobs_as_made(world: World) -> list[Any]:
    """Return what the operator writes of the Jobs; their controller may still write their status."""
    fields = ("uid", "generation", "labels", "annotations")
    return [{field: each["metadata"].get(field) for field in fields} for each in world.all("jobs")]


class TestMending:
    @pytest.mark.parametrize(
        "damage",
        [
            pytest.param(("delete", "secret", SERVERS), id="deleted"),
            pytest.param(
                ("patch", "secret", SERVERS, "--type=merge", '--patch={"data": {"ca.crt": "eA=="}}'),
                id="another-value",
            ),
            pytest.param(
                ("patch", "secret", SERVERS, "--type=merge", '--patch={"data": {"ca.crt": null}}'),
                id="a-key-less",
            ),
        ],
    )
    def test_a_damaged_secret_is_issued_anew_and_nothing_else(self, begun, damage):
        jobs = jobs_as_made(begun)
        assert is_whole(begun)
        before = begun.get("secret", SERVERS)["data"]["tls.crt"]
        begun.kubectl(*damage)
        eventually(lambda: begun.get("secret", SERVERS).get("data", {}).get("tls.crt", before) != before)
        assert is_whole(begun)
        assert jobs_as_made(begun) == jobs

    def test_a_lost_authority_is_made_anew_with_every_certificate(self, begun):
        before = secret(begun, authority(begun), OPERATOR)["data"]["tls.crt"]
        begun.server.run("--namespace", OPERATOR, "delete", "secret", authority(begun))
        eventually(lambda: is_whole(begun) and secret(begun, authority(begun), OPERATOR))
        assert secret(begun, authority(begun), OPERATOR)["data"]["tls.crt"] != before

    def test_a_secret_that_is_restored_from_a_backup_is_issued_anew_once(self, begun):
        kept = begun.get("secret", SERVERS)
        for field in ("uid", "resourceVersion", "managedFields", "creationTimestamp"):
            kept["metadata"].pop(field, None)
        begun.kubectl("delete", "secret", SERVERS)
        eventually(lambda: begun.get("secret", SERVERS))
        begun.server.run("replace", "--filename=-", stdin=json.dumps(kept))
        eventually(lambda: begun.get("secret", SERVERS)["data"]["tls.crt"] != kept["data"]["tls.crt"])
        begun.kubectl("annotate", "service", names.server_name(JOB), "anything=new")
        mark = begun.server.mark()
        begun.kubectl("label", "service", names.server_name(JOB), "anything=new")
        eventually(lambda: begun.get("service", names.server_name(JOB))["metadata"]["labels"]["anything"])
        written = [
            each for each in begun.server.requests(mark)
            if each.resource == "secrets" and each.verb in {"patch", "create"} and "operator" in each.user
        ]  # fmt: skip
        assert written == []


@pytest.fixture
def tenant(begun: World) -> Iterator[Any]:
    """Kubectl of a user with the ClusterRole edit in the job's namespace."""
    user = f"tenant-of-{begun.namespace}"
    begun.kubectl("create", "rolebinding", "tenant", "--clusterrole=edit", f"--user={user}")
    kubectl = begun.server.run
    return lambda *arguments: kubectl(f"--as={user}", *arguments)


class TestATenant:
    """A user with the ClusterRole edit in the namespace of a job."""

    def test_reaches_the_certificates_of_the_own_job(self, tenant, begun):
        assert "tls.key" in tenant("--namespace", begun.namespace, "get", "secret", SERVERS, "--output=json")

    @pytest.mark.parametrize("verb", ["get", "list", "watch", "create", "update", "patch", "delete"])
    @pytest.mark.parametrize("kind", ["secrets", "pods", "splittrainingjobs.pslgs.dev"])
    def test_has_no_rights_in_the_operators_namespace(self, tenant, verb, kind):
        with pytest.raises(ClusterError):
            tenant("auth", "can-i", verb, kind, "--namespace", OPERATOR, "--quiet")

    def test_finds_the_authority_nowhere_in_the_own_namespace(self, tenant, begun):
        key = secret(begun, authority(begun), OPERATOR)["data"]["tls.key"]
        for kind in ("secrets", "configmaps"):
            found = tenant("--namespace", begun.namespace, "get", kind, "--output=json")
            assert key not in found
            assert authority(begun) not in found

    @pytest.mark.parametrize(
        "volume",
        [
            pytest.param({"secret": {"secretName": "AUTHORITY"}}, id="secret"),
            pytest.param({"projected": {"sources": [{"secret": {"name": "AUTHORITY"}}]}}, id="projected"),
        ],
    )
    @pytest.mark.parametrize("role", ["server", "clients"])
    def test_names_secrets_of_the_own_namespace_only(self, tenant, begun, volume, role):
        """The kubelet finds the Secrets of a pod in the pod's namespace, where there is no such Secret."""
        name = authority(begun)
        named = json.loads(json.dumps(volume).replace("AUTHORITY", name))
        container = {
            "name": role.removesuffix("s"),
            "envFrom": [{"secretRef": {"name": name}}],
            "volumeMounts": [{"name": "stolen", "mountPath": "/stolen"}],
        }
        template = {"spec": {"volumes": [{"name": "stolen", **named}], "containers": [container]}}
        more = {"nodeSelector": begun.site} if role == "clients" else {}
        begun.apply("thief", **{role: {**more, "template": template}})
        templates = eventually(
            lambda: [
                each["spec"]["template"]
                for each in begun.all("jobs", f"{names.JOB_LABEL}=thief")
                if "stolen" in json.dumps(each)
            ]
        )
        assert {each["metadata"].get("namespace") for each in templates} == {None}
        assert OPERATOR not in json.dumps([each["spec"]["volumes"] for each in templates])
        with pytest.raises(ClusterError, match="NotFound"):
            tenant("--namespace", begun.namespace, "get", "secret", name)
        with pytest.raises(ClusterError, match="Forbidden"):
            tenant("--namespace", OPERATOR, "get", "secret", name)


class TestTheEndOfAJob:
    def test_takes_the_authority_along(self, begun):
        name = authority(begun)
        assert secret(begun, name, OPERATOR)
        begun.kubectl("delete", "splittrainingjob", JOB)
        eventually(lambda: not secret(begun, name, OPERATOR), seconds=90)
