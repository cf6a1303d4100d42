"""What a job does not want any more, or an earlier job left, is removed, and the status tells."""

import pytest

from pslgs_operator import names
from pslgs_operator.authority_collector import AuthorityCollector
from pslgs_operator.pod_monitor_collector import PodMonitorCollector
from pslgs_operator.settings import Settings
from reconciling.objects import a_node
from reconciling.test_convergence import ConvergingStage
from reconciling.test_reconciling import CLIENTS, KEY, SERVER, manifest

OPERATOR = Settings().namespace
WITHOUT_TLS = manifest(transport={"tls": "Disabled"})


@pytest.fixture
async def made():
    stage = ConvergingStage().with_settings()
    stage.cluster.apply_job(manifest())
    await stage.settle()
    return stage


def secrets(stage, namespace=KEY.namespace):
    return {key.name for key in stage.cluster.objects if key[:2] == ("Secret", namespace)}


def said(stage, kind):
    return next(each["message"] for each in stage.status["conditions"] if each["type"] == kind)


class TestPodMonitors:
    async def collect(self, stage, *, holds=True, **settings):
        async def acts_in(_namespace):
            return holds

        await PodMonitorCollector(stage.cluster, Settings(**settings), acts_in).collect()
        return set(stage.cluster.of("PodMonitor"))

    async def test_are_deleted_when_the_chart_switches_them_off(self, made):
        assert set(made.cluster.of("PodMonitor")) == {"digits"}
        assert await self.collect(made) == set()

    @pytest.mark.parametrize("namespaces", [("elsewhere",), (KEY.namespace,)], ids=["elsewhere", "here"])
    async def test_are_deleted_in_the_namespaces_that_are_watched(self, made, namespaces):
        left = await self.collect(made, watch_namespaces=namespaces)
        assert left == (set() if KEY.namespace in namespaces else {"digits"})

    @pytest.mark.parametrize(
        "metadata",
        [
            pytest.param({"ownerReferences": []}, id="without-owner"),
            pytest.param({"labels": {names.JOB_LABEL: "digits"}}, id="of-another-tool"),
        ],
    )
    async def test_of_others_stay(self, made, metadata):
        made.edit("PodMonitor", "digits", **metadata)
        assert await self.collect(made) == {"digits"}

    async def test_stay_where_another_release_acts(self, made):
        assert await self.collect(made, holds=False) == {"digits"}


class TestSecretsOfAJobThatSwitchesTlsOff:
    async def test_are_deleted_before_its_training_and_so_is_the_authority(self, made):
        made.cluster.apply_job(WITHOUT_TLS)
        await made.settle()
        assert secrets(made) == set()
        await AuthorityCollector(made.cluster, made.stores, Settings()).collect()
        assert secrets(made, OPERATOR) == set()

    async def test_come_back_with_tls(self, made):
        made.cluster.apply_job(WITHOUT_TLS)
        await made.settle()
        await AuthorityCollector(made.cluster, made.stores, Settings()).collect()
        made.cluster.apply_job(manifest(transport={"tls": "Mutual"}))
        await made.settle()
        assert secrets(made) == {f"{name}-tls" for name in (SERVER, *CLIENTS)}

    async def test_stay_during_the_training_whose_pods_mount_them(self, made):
        await made.train()
        before = secrets(made), secrets(made, OPERATOR)
        made.cluster.apply_job(WITHOUT_TLS)
        await made.settle()
        await AuthorityCollector(made.cluster, made.stores, Settings()).collect()
        assert (secrets(made), secrets(made, OPERATOR)) == before


async def test_secrets_of_an_orphaned_job_whose_clients_the_next_one_lacks_are_deleted(made):
    made.cluster.server.collects = False
    for key, body in list(made.cluster.objects.items()):
        if body["metadata"].get("ownerReferences"):
            made.edit(key.kind, key.name, ownerReferences=[])
    made.cluster.remove("SplitTrainingJob", KEY.name)
    made.cluster.keep(a_node("edge-1", edge="false"))
    await made.look(1)
    copy = {"name": "my-copy-tls", "namespace": KEY.namespace}
    labels = made.child("Secret", f"{SERVER}-tls")["metadata"]["labels"]
    made.cluster.keep({"kind": "Secret", "metadata": {**copy, "labels": labels}, "data": {}})
    made.cluster.apply_job(manifest())
    await made.settle()
    kept = {SERVER, names.client_name("digits", "edge-0-0")}
    assert secrets(made) == {f"{name}-tls" for name in kept} | {"my-copy-tls"}
    assert set(made.cluster.of("Job")) == kept


async def test_the_status_is_written_while_children_of_an_earlier_job_are_being_deleted(made):
    made.cluster.server.collects = False
    made.cluster.server.storage.remove(
        next(key for key in made.cluster.objects if key.kind == "SplitTrainingJob")
    )
    made.cluster.apply_job(manifest())
    writes = made.cluster.calls["create Job"]
    assert await made.look(1) is not None
    assert made.condition("Ready") == ("False", "ReplacingEarlierJob")
    assert "deleting ConfigMap" in said(made, "Ready")
    assert made.cluster.calls["create Job"] == writes


class TestAPodWithoutAnOwner:
    @pytest.mark.parametrize("uid", ["", "uid-of-an-earlier-job"], ids=["of this job", "of an earlier job"])
    async def test_that_blocks_a_job_is_named_with_the_command_that_helps(self, made, uid):
        made.run_server(uid=uid)
        made.cluster.remove("Job", SERVER)
        made.run_server(uid=uid)
        await made.look(1)
        await made.settle()
        assert SERVER not in made.cluster.of("Job")
        assert made.condition("Degraded") == ("True", "PodWithoutOwner")
        assert said(made, "Degraded").endswith("kubectl --namespace default delete pod server-pod")
        assert "server-pod" in said(made, "Ready") or uid == ""
        made.cluster.remove("Pod", "server-pod")
        await made.settle()
        assert SERVER in made.cluster.of("Job")
        assert made.condition("Degraded")[0] == "False"
