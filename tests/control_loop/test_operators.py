"""Operators that start, end and are cut off, against a real API server."""

import json
import time
from datetime import UTC, datetime

import pytest

from control_loop.conftest import SERVICE_ACCOUNT
from control_loop.operating import BRIEF_GRACE, World, eventually, operator
from pslgs_operator import names
from pslgs_operator.informer import STALE_AFTER, Auditor, WatchHealth
from pslgs_operator.store import Stores

pytestmark = pytest.mark.slow  # an operator is started

JOB = "digits"
SERVER = names.server_name(JOB)
KINDS = ("jobs", "pods", "services", "configmaps", "secrets", "networkpolicies", "persistentvolumeclaims")
WRITES = {"create", "update", "patch", "delete"}


@pytest.fixture
def run_operator(installed, tmp_path):
    def run(*arguments, **settings):
        return operator(installed, tmp_path, *arguments, **settings)

    return run


def children(world: World) -> dict[str, str]:
    """Return the uids of all of the job's children by kind and name."""
    return {
        f"{kind}/{each['metadata']['name']}": each["metadata"]["uid"]
        for kind in KINDS
        for each in world.all(kind, f"{names.JOB_LABEL}={JOB}")
    }


def begin(world: World) -> None:
    """Apply a job and wait until all its pods are there and its status tells of them."""
    clients = {"nodeSelector": world.site, "template": BRIEF_GRACE}
    world.apply(JOB, server={"template": BRIEF_GRACE}, clients=clients)
    eventually(lambda: len(world.names("pods")) == 3)
    eventually(lambda: world.status(JOB).get("server", {}).get("pod"))
    # Events come after the status that causes them.
    eventually(lambda: "Started" in {each["reason"] for each in world.all("events")})


def writes(world: World, since: int) -> list[str]:
    """List what operators wrote since in the namespace; those of former tests may still be going."""
    return [
        f"{each.verb} {each.resource} {each.name}"
        for each in world.server.requests(since)
        if each.user == SERVICE_ACCOUNT and each.verb in WRITES and each.namespace == world.namespace
    ]


@pytest.fixture(scope="class")
def running(installed, tmp_path_factory):
    """An operator that the tests of a class share."""
    with operator(installed, tmp_path_factory.mktemp("operator")) as process:
        yield process


class TestAtWork:
    """What an operator does that nobody ends."""

    def test_its_metrics_tell_of_jobs_looks_and_watches(self, running, bare_world):
        begin(bare_world)
        # Jobs of former tests go with their namespaces.
        eventually(lambda: 'pslgs_jobs{phase="Pending"} 1.0' in running.metrics())
        told = running.metrics()
        assert "pslgs_operator_reconcile_seconds_bucket" in told
        assert 'pslgs_operator_reconciles_total{result="error"}' in told
        assert 'pslgs_operator_watch_age_seconds{resource="nodes"}' in told

    def test_an_idle_operator_writes_nothing(self, running, bare_world):
        begin(bare_world)

        def has_been_idle() -> bool:
            before = bare_world.server.mark()
            time.sleep(10)  # the time of which is told what it writes
            return writes(bare_world, before) == []

        # A pod that comes late may still change the status once.
        assert eventually(has_been_idle, what="10 s without a write")
        assert running.process.poll() is None

    def test_its_logs_are_json_and_hold_no_secret(self, running, bare_world):
        begin(bare_world)
        log = running.log.read_text()
        lines = log[: log.rindex("\n")].splitlines()  # it may be writing the next one
        assert any(JOB in json.loads(line)["message"] for line in lines)
        secrets = bare_world.all("secrets", f"{names.JOB_LABEL}={JOB}")
        assert len(secrets) == 3
        for secret in secrets:
            assert secret["data"]["tls.key"] not in log
        assert "PRIVATE" not in log

    @pytest.mark.usefixtures("running")
    def test_pods_that_pod_security_refuses_are_told_of(self, bare_world):
        label = "pod-security.kubernetes.io/enforce=restricted"
        bare_world.server.run("label", "namespace", bare_world.namespace, label)
        overlay = {"spec": {"volumes": [{"name": "data", "hostPath": {"path": "/srv"}}]}}
        bare_world.apply(JOB, clients={"nodeSelector": bare_world.site, "template": overlay})
        eventually(lambda: bare_world.pods(SERVER), what="a server that is restricted enough")
        status = eventually(
            lambda: (
                bare_world.condition(JOB, "Degraded")[0] == "True" and bare_world.condition(JOB, "Degraded")
            ),
            90,
        )
        assert "client" in status[2]
        assert not bare_world.pods(names.client_name(JOB, f"{bare_world.edges[0]}-0"))


def test_an_operator_that_starts_anew_adopts_what_is_there_and_catches_up(bare_world, run_operator):
    with run_operator():
        begin(bare_world)
    gone, new = (names.client_name(JOB, f"{bare_world.namespace}-{number}-0") for number in (1, 2))
    before = children(bare_world)
    bare_world.server.run("delete", "node", bare_world.edges[1])
    bare_world.kubectl("delete", "service", SERVER)
    mark = bare_world.server.mark()
    with run_operator():
        eventually(lambda: gone not in bare_world.names("jobs"))
        eventually(lambda: SERVER in bare_world.names("services"))
        bare_world.add_node(f"{bare_world.namespace}-2", site=bare_world.namespace)
        eventually(lambda: new in bare_world.names("jobs"))
        after = children(bare_world)
        kept = {name for name in before if gone not in name and name != f"services/{SERVER}"}
        assert {name: after.get(name) for name in kept} == {name: before[name] for name in kept}
        # What else is written is the operator's own: what was there stays untouched.
        written = [
            (resource, name)
            for _, resource, name in (each.split(" ") for each in writes(bare_world, mark))
            if name.removesuffix("-tls") not in {gone, new}
        ]
        assert {resource for resource, _ in written} <= {
            "events", "leases", "services", "splittrainingjobs/status"
        }  # fmt: skip


def test_an_operator_ends_soon_when_told_and_a_namespace_can_be_deleted_without_it(bare_world, run_operator):
    with run_operator() as running:
        begin(bare_world)
        assert running.stop() == 0
    bare_world.server.run("delete", "namespace", bare_world.namespace, "--wait=false")
    eventually(lambda: not bare_world.get("namespace", bare_world.namespace))
    bare_world.server.run("create", "namespace", bare_world.namespace)


def test_a_namespace_that_is_deleted_is_left_in_peace(bare_world, run_operator):
    with run_operator() as running:
        begin(bare_world)
        bare_world.server.run("delete", "namespace", bare_world.namespace, "--wait=false")
        eventually(lambda: not bare_world.get("namespace", bare_world.namespace))
        assert '"severity": "error"' not in running.log.read_text()
    bare_world.server.run("create", "namespace", bare_world.namespace)


def test_an_api_server_that_is_restarted_loses_nothing(bare_world, run_operator):
    with run_operator() as running:
        begin(bare_world)
        before = children(bare_world)
        bare_world.server.restart("kube-apiserver")
        bare_world.add_node(f"{bare_world.namespace}-2", site=bare_world.namespace)
        eventually(lambda: len(bare_world.names("jobs")) == 4, 60)
        after = children(bare_world)
        assert {name: after[name] for name in before} == before
        assert running.process.poll() is None
        eventually(lambda: running.health() == 200)


def test_an_operator_of_one_namespace_leaves_others_alone(bare_world, run_operator):
    other = World(bare_world.server, f"{bare_world.namespace}-too", bare_world.leases)
    other.server.run("create", "namespace", other.namespace)
    other.server.run.apply(
        {"apiVersion": "pslgs.dev/v1alpha1", "kind": "SplitTrainingJob",
         "metadata": {"name": JOB, "namespace": other.namespace},
         "spec": {"model": {"architecture": "mlp", "cutLayer": "0"}, "epochs": 1,
                  "data": {"train": {"format": "ScikitLearn", "name": "digits"}},
                  "clients": {"nodeSelector": bare_world.site}}}
    )  # fmt: skip
    with run_operator(PSLGS_WATCH_NAMESPACES=json.dumps([bare_world.namespace])):
        begin(bare_world)
        assert other.names("jobs") == set()
        assert other.status(JOB) == {}
    other.server.run("delete", "namespace", other.namespace, "--wait=false")


def test_an_operator_that_has_become_deaf_fails_its_probe(run_operator):
    stale = (
        "from pslgs_operator import informer, __main__\n"
        "informer.Auditor.problem = lambda self: 'the watch of pods is broken'\n"
        "__main__.main()"
    )
    with run_operator("-c", stale, up=503) as running:
        # It is alive, and not ready, until it has begun to watch.
        eventually(lambda: running.page("/healthz") == (503, "the watch of pods is broken\n"))
        assert running.log.read_text().count("/healthz fails: the watch of pods is broken") == 1


def test_kopf_can_run_it_by_itself(bare_world, run_operator):
    with run_operator("-m", "kopf", "run", "--all-namespaces", "--module=pslgs_operator.handlers"):
        begin(bare_world)


async def test_a_watch_that_tells_nothing_is_found_by_the_audit(bare_world, client):
    """Nobody tells the stores of the two nodes that are there."""
    now, stores = datetime(2026, 1, 1, tzinfo=UTC), Stores()
    watch = WatchHealth(stores.nodes, complete_at=now)
    auditor = Auditor(client, stores, (watch,), lambda: (None,), lambda _: None, lambda: now)
    await auditor.audit(watch)
    assert auditor.problem() is None
    now += STALE_AFTER
    assert auditor.problem() is None
    await auditor.audit(watch)
    assert auditor.problem() == "the watch of nodes does not report changes any more"
