"""Two operators at once, namespaces that come and go, processes that cannot work; on a real API server."""

import json
import signal

import pytest
import yaml

from cluster.testcluster.appimages import ROOT
from control_loop.conftest import SERVICE_ACCOUNT
from control_loop.operating import BRIEF_GRACE, World, eventually, hurried, operator, training_job
from control_loop.proxy import silent_proxy

pytestmark = pytest.mark.slow  # an operator is started

JOB = "digits"


@pytest.fixture
def run_operator(installed, tmp_path):
    def run(name="operator", *arguments, **settings):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        return operator(installed, folder, *arguments, PSLGS_INSTANCE=name, **settings)

    return run


def holder(world: World, namespace: str, name: str) -> str:
    lease = world.server.run.json("--namespace", namespace, "get", "lease", name)
    return str(lease["spec"].get("holderIdentity", ""))


def replica_holder(world: World) -> str:
    return holder(world, "pslgs-system", "pslgs-operator").partition("_")[0]


def log_has(running, text):
    return eventually(lambda: text in running.log.read_text(), what=text)


def test_a_standby_is_ready_and_takes_over_from_a_leader_that_is_paused_or_stops(bare_world, run_operator):
    with run_operator("one") as one, run_operator("two") as two:
        eventually(one.leads)
        assert not two.leads()
        assert two.page("/readyz") == (200, "ok\n")
        assert "pslgs_job_phase" not in two.metrics()
        bare_world.apply(JOB)
        eventually(lambda: len(bare_world.names("pods")) == 3)
        one.process.send_signal(signal.SIGSTOP)
        eventually(two.leads, 25)
        before = bare_world.server.mark()
        bare_world.add_node(f"{bare_world.namespace}-2", site=bare_world.namespace)
        bare_world.kubectl("label", "stj", JOB, "touched=yes")
        one.process.send_signal(signal.SIGCONT)
        eventually(lambda: len(bare_world.names("jobs")) == 4)
        log_has(one, "is a standby now")
        eventually(lambda: not one.leads())
        assert two.leads()
        made = [
            each.name
            for each in bare_world.server.requests(before)
            if (each.user, each.verb, each.resource) == (SERVICE_ACCOUNT, "create", "jobs")
            and each.namespace == bare_world.namespace
        ]
        assert len(made) == 1
        assert two.stop() == 0
        eventually(one.leads, 10)  # sooner than its Lease expires
        assert replica_holder(bare_world) == "one"


def test_of_two_releases_that_watch_one_namespace_one_acts(bare_world, run_operator):
    other = {
        "PSLGS_LEASE_NAME": "other",
        "PSLGS_WATCH_NAMESPACES": json.dumps([bare_world.namespace]),
        "PSLGS_SERVER_IMAGE": "other-image",
    }
    roles = [
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
         "metadata": {"name": "other-release", "namespace": "pslgs-system"},
         "rules": [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"],
                    "verbs": ["get", "create", "update"]}]},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
         "metadata": {"name": "other-release", "namespace": "pslgs-system"},
         "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "other-release"},
         "subjects": [{"kind": "ServiceAccount", "name": "pslgs-operator", "namespace": "pslgs-system"}]},
    ]  # fmt: skip
    bare_world.server.run.apply(*roles)
    with run_operator("one"):
        bare_world.apply(JOB)
        eventually(lambda: len(bare_world.names("pods")) == 3)
        with run_operator("two", **other) as two:
            eventually(two.leads)
            log_has(two, "because the release pslgs-system/pslgs-operator holds its Lease")
            gauge = f'pslgs_operator_namespace_served{{watched_namespace="{bare_world.namespace}"}} 0.0'
            eventually(lambda: gauge in two.metrics(), what=gauge)
            bare_world.kubectl("label", "stj", JOB, "touched=yes")
            bare_world.add_node(f"{bare_world.namespace}-2", site=bare_world.namespace)
            eventually(lambda: len(bare_world.names("jobs")) == 4)
            assert "other-image" not in json.dumps(bare_world.all("jobs"))
    lease = holder(bare_world, bare_world.namespace, "splittrainingjobs.pslgs.dev")
    assert lease == "pslgs-system/pslgs-operator"


def test_a_namespace_that_is_missing_holds_up_no_other_and_is_served_once_it_is_there(
    bare_world, run_operator, own_api_server
):
    late = f"{bare_world.namespace}-late"
    user = own_api_server.kubeconfig_of(f"watcher-{bare_world.namespace}")
    rights = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]

    def grant(namespace):
        bare_world.server.run.apply(
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
             "metadata": {"name": "all", "namespace": namespace}, "rules": rights},
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
             "metadata": {"name": "all", "namespace": namespace},
             "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "all"},
             "subjects": [{"kind": "User", "name": f"watcher-{bare_world.namespace}"}]},
        )  # fmt: skip

    def job_in(namespace):
        job = training_job(JOB, namespace, bare_world.site)
        job["spec"] |= {"server": {"template": BRIEF_GRACE}}
        job["spec"]["clients"] |= {"template": BRIEF_GRACE}
        bare_world.server.run.apply(job)
        there = World(bare_world.server, namespace, bare_world.leases)
        eventually(lambda: len(there.names("jobs")) == 3)

    bare_world.server.run.apply(
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
         "metadata": {"name": f"nodes-{bare_world.namespace}"},
         "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reads-nodes"},
         "subjects": [{"kind": "User", "name": f"watcher-{bare_world.namespace}"}]},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
         "metadata": {"name": "reads-nodes"},
         "rules": [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list", "watch"]}]},
    )  # fmt: skip
    grant(bare_world.namespace)
    settings = {
        "KUBECONFIG": str(user),
        "PSLGS_WATCH_NAMESPACES": json.dumps([bare_world.namespace, late]),
        "PSLGS_NAMESPACE": bare_world.namespace,
        "PSLGS_LEASE_NAMESPACE": bare_world.namespace,
    }
    with run_operator("operator", *hurried({"watched_namespaces.PROBE_INTERVAL": 2}), **settings) as running:
        log_has(running, f"namespace {late} of watchNamespaces is skipped until its jobs can be listed")
        job_in(bare_world.namespace)
        bare_world.server.run("create", "namespace", late)
        grant(late)
        job_in(late)
        bare_world.server.run("delete", "namespace", late)
        eventually(lambda: f'{{watched_namespace="{late}"}} 0.0' in running.metrics())
        bare_world.apply("second")
        eventually(lambda: len(bare_world.names("jobs")) == 6)
        assert running.process.poll() is None


def test_an_operator_whose_definition_is_deleted_ends_and_waits_for_it_when_it_starts(
    bare_world, run_operator, own_api_server
):
    crd = "crd/splittrainingjobs.pslgs.dev"
    with run_operator("one") as running:
        own_api_server.run("delete", crd)
        try:
            eventually(lambda: running.process.poll() is not None, 20)
            assert running.process.returncode == 1
            assert "the operator ends: its watches ended" in running.log.read_text()
            with run_operator("two", up=503) as waiting:
                assert waiting.waits_for("install its CustomResourceDefinition")
                assert waiting.page("/healthz")[0] == 200
                own_api_server.run("apply", "--server-side", f"--filename={ROOT / 'crds'}")
                eventually(lambda: waiting.answers(200))
                assert waiting.log.read_text().count("install its CustomResourceDefinition") == 1
        finally:
            own_api_server.run("apply", "--server-side", f"--filename={ROOT / 'crds'}")
            own_api_server.wait_for_kinds()


def test_an_operator_whose_controller_crashes_ends_with_the_reason(run_operator, installed, tmp_path):
    broken = (
        "from pslgs_operator import informer, __main__\n"
        "async def run(self): raise ValueError('broken')\n"
        "informer.Auditor.run = run\n"
        "__main__.main()"
    )
    with operator(installed, tmp_path, "-c", broken, up=0, PSLGS_INSTANCE="x") as running:
        eventually(lambda: running.process.poll() is not None, 20)
        assert running.process.returncode == 1
        assert "the controller has stopped working: ValueError('broken')" in running.log.read_text()


def test_an_operator_told_to_stop_while_it_waits_ends(run_operator, tmp_path, installed):
    nowhere = tmp_path / "nowhere"
    config = yaml.safe_load(installed.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    nowhere.write_text(json.dumps(config))
    with run_operator(up=503, KUBECONFIG=str(nowhere)) as running:
        assert running.waits_for("waiting: the API server doesn't answer")
        assert running.stop() == 0


def test_a_watch_that_falls_silent_is_noticed(bare_world, run_operator, installed, tmp_path):
    """The connections stay open, but nothing comes through them any more, as behind a broken proxy."""
    impatient = hurried({"informer.SILENT_AFTER": 10, "api.rest.TIMEOUT": 3})
    with (
        silent_proxy(installed, tmp_path) as proxy,
        run_operator("operator", *impatient, KUBECONFIG=str(proxy.kubeconfig)),
    ):
        bare_world.apply(JOB)
        eventually(lambda: len(bare_world.names("jobs")) == 3)
        proxy.silence()
        bare_world.add_node(f"{bare_world.namespace}-2", site=bare_world.namespace)
        eventually(lambda: len(bare_world.names("jobs")) == 4, 120)
