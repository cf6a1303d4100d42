import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fake_api.storage import Key
from pslgs_operator import names
from pslgs_operator.kube_client import JobKey, RetryableError
from pslgs_operator.reconciler import Reconciler
from pslgs_operator.settings import Settings
from pslgs_operator.snapshot import ServerReport
from pslgs_operator.status.types import ConditionType
from pslgs_operator.store import Stores
from reconciling.fake_cluster import FakeCluster
from reconciling.objects import a_node

KEY = JobKey("default", "digits")
SERVER = names.server_name("digits")
CLIENTS = {names.client_name("digits", f"edge-{n}-0") for n in (0, 1)}
TRAINING = ServerReport(
    phase="Training", epoch=1, epochs=2, step=5, steps=20, progress=0.25, live=("edge-0-0", "edge-1-0")
)


def manifest(**spec):
    wanted = {
        "model": {"architecture": "mlp", "cutLayer": "0"},
        "data": {"train": {"format": "ScikitLearn", "name": "digits"}},
        "epochs": 2,
        "clients": {"nodeSelector": {"edge": "true"}},
    }
    return {
        "apiVersion": "pslgs.dev/v1alpha1",
        "kind": "SplitTrainingJob",
        "metadata": {"name": KEY.name, "namespace": KEY.namespace},
        "spec": wanted | spec,
    }


class Stage:
    """A reconciler with a cluster in memory; clock and watches are moved by hand."""

    def __init__(self) -> None:
        self.cluster, self.stores = FakeCluster(), Stores()
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.reconciler = self.restarted()
        for number in (0, 1):
            self.cluster.keep(a_node(f"edge-{number}", edge="true"))

    def restarted(self) -> Reconciler:
        self.reconciler = Reconciler(
            self.cluster, self.stores, Settings(), self.told, "operator-0", lambda: self.now
        )
        return self.reconciler

    def told(self, body):
        self.stores.store_of(body).put(body)

    async def look(self, seconds: float = 0.0, *, watches_tell: bool = True):
        self.now += timedelta(seconds=seconds)
        if watches_tell:
            self.cluster.tell(self.stores)
        return await self.reconciler.reconcile(KEY)

    async def settle(self):
        """Look until that writes nothing more."""
        before = -1
        while before != self.cluster.writes:
            before = self.cluster.writes
            again = await self.look(0.5)
        return again

    @property
    def status(self):
        return self.cluster.of("SplitTrainingJob")[KEY.name].get("status", {})

    def condition(self, kind: str) -> tuple[str, str]:
        found = {each["type"]: each for each in self.status.get("conditions", [])}
        return (found[kind]["status"], found[kind]["reason"]) if kind in found else ("", "")

    @property
    def story(self) -> list[str]:
        return [event["reason"] for event in self.cluster.events]

    @property
    def uid(self) -> str:
        return self.cluster.of("SplitTrainingJob")[KEY.name]["metadata"]["uid"]

    def run_server(self, ip: str = "10.0.0.1", name: str = "server-pod", uid: str = "") -> None:
        labels = names.labels(KEY.name, names.SERVER) | {"batch.kubernetes.io/job-name": SERVER}
        labels[names.JOB_UID_LABEL] = uid or self.uid
        self.cluster.keep(
            {
                "kind": "Pod",
                "metadata": {"name": name, "namespace": KEY.namespace, "labels": labels},
                "spec": {"nodeName": "gpu-0"},
                "status": {"phase": "Running", "podIP": ip},
            }
        )


@pytest.fixture
def stage():
    return Stage()


@pytest.fixture
async def begun(stage):
    """A job for which everything is made."""
    stage.cluster.apply_job(manifest())
    await stage.settle()
    return stage


async def test_the_first_look_makes_everything_and_the_second_says_so(stage):
    stage.cluster.apply_job(manifest())
    assert await stage.look() == timedelta(0)
    begun = stage
    assert set(begun.cluster.of("Job")) == {SERVER, *CLIENTS}
    assert begun.condition("Accepted") == ("True", "Accepted")
    assert {each["type"] for each in begun.status["conditions"]} == set(ConditionType)
    assert begun.story == ["Accepted"]
    await begun.look(0.5)
    assert begun.story == ["Accepted", "Started"]


async def test_looking_again_changes_nothing(begun):
    before = begun.cluster.writes
    for _ in range(5):
        await begun.look(1)
    assert begun.cluster.writes == before


async def test_an_operator_whose_watches_are_late_makes_nothing_twice(begun):
    before = begun.cluster.writes
    await begun.look(watches_tell=False)
    assert begun.cluster.writes == before


async def test_an_operator_that_starts_anew_changes_nothing(begun):
    before = begun.cluster.writes
    begun.stores = Stores()
    begun.restarted()
    await begun.look(1)
    assert begun.cluster.writes == before


async def test_what_is_deleted_is_made_again(begun):
    name = names.client_name("digits", "edge-1-0")
    for kind in ("Job", "Service", "ConfigMap"):
        begun.cluster.remove(kind, {"Job": name, "Service": SERVER}.get(kind, names.manifest_name("digits")))
    await begun.look(1)
    assert name in begun.cluster.of("Job")
    assert SERVER in begun.cluster.of("Service")
    assert names.manifest_name("digits") in begun.cluster.of("ConfigMap")


async def test_a_node_that_appears_gets_a_client(begun):
    begun.cluster.keep(a_node("edge-2", edge="true"))
    await begun.look(1)
    assert names.client_name("digits", "edge-2-0") in begun.cluster.of("Job")


async def test_a_running_server_is_asked_and_what_it_says_is_written(begun):
    begun.run_server()
    begun.cluster.reports["10.0.0.1"] = TRAINING
    again = await begun.look(1)
    assert begun.condition("Ready")[0] == "True"
    assert begun.status["training"]["step"] == 5
    assert again <= Settings().poll_interval


async def test_a_burst_of_news_asks_the_server_once(begun):
    begun.run_server()
    begun.cluster.reports["10.0.0.1"] = TRAINING
    for _ in range(5):
        await begun.look(0.5)
    assert begun.cluster.calls["ask server"] == 1
    await begun.look(5)
    assert begun.cluster.calls["ask server"] == 2


async def test_a_server_of_another_job_at_a_reused_address_is_ignored(begun):
    begun.run_server()
    begun.cluster.reports["10.0.0.1"] = replace(TRAINING, job_uid="another")
    await begun.look(1)
    assert begun.condition("Ready")[0] == "False"
    assert "trainingStartTime" not in begun.status


async def test_what_a_former_server_said_does_not_make_the_next_one_ready(begun):
    begun.run_server()
    begun.cluster.reports["10.0.0.1"] = TRAINING
    await begun.look(1)
    begun.cluster.remove("Pod", "server-pod")
    begun.run_server(ip="10.0.0.2", name="next-server-pod")
    await begun.look(1)
    assert begun.condition("Ready")[0] == "False"


class TestRefusals:
    async def refused(self, stage):
        stage.cluster.refused["Job"] = "exceeded quota: jobs"
        stage.cluster.apply_job(manifest())
        await stage.settle()
        return stage

    async def test_they_are_told_at_once(self, stage):
        await self.refused(stage)
        status, reason = stage.condition("Degraded")
        assert (status, reason) == ("True", "RefusedByCluster")
        assert any("exceeded quota" in each["message"] for each in stage.status["conditions"])

    async def test_they_are_no_hot_loop(self, stage):
        await self.refused(stage)
        before = stage.cluster.writes
        for _ in range(100):
            await stage.look(0.1)
        assert stage.cluster.writes == before

    async def test_they_are_tried_again_in_time(self, stage):
        again = await self.refused(stage) and await stage.look()
        assert timedelta(0) < again <= timedelta(seconds=15)
        stage.cluster.refused.clear()
        await stage.look(again.total_seconds())
        await stage.settle()
        assert set(stage.cluster.of("Job")) == {SERVER, *CLIENTS}
        assert stage.condition("Degraded")[0] == "False"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("Service", SERVER),
        ("ConfigMap", names.manifest_name("digits")),
        ("PersistentVolumeClaim", names.checkpoints_name("digits")),
        ("Secret", names.server_identity_name("digits")),
        ("Job", SERVER),
    ],
)
async def test_a_name_that_is_taken_is_told_and_the_other_object_is_not_touched(stage, kind, name):
    other = stage.cluster.keep({"kind": kind, "metadata": {"name": name, "namespace": "default"}})
    stage.cluster.apply_job(manifest(checkpoint={"storage": {"size": "1Gi"}}))
    await stage.settle()
    assert stage.condition("Degraded") == ("True", "NameTaken")
    messages = [each["message"] for each in stage.status["conditions"] if each["reason"] == "NameTaken"]
    assert f"{kind} {name} exists already" in messages[0]
    await stage.look(1)
    stage.cluster.remove("SplitTrainingJob", KEY.name)
    await stage.look(1)
    assert stage.cluster.of(kind)[name] == other


async def test_what_is_created_and_deleted_is_logged_with_the_reason(begun, caplog):
    caplog.set_level(logging.INFO, "pslgs_operator")
    name = names.client_name("digits", "edge-1-0")
    begun.cluster.keep(a_node("edge-1"))
    begun.cluster.keep(a_node("edge-2", edge="true"))
    await begun.look(1)
    assert f"default/digits: created Job {names.client_name('digits', 'edge-2-0')}" in caplog.messages
    why = "client edge-1-0 is not wanted on node edge-1 any more"
    assert f"default/digits: deleted Job {name}: {why}" in caplog.messages


async def test_a_spec_that_is_not_sound_makes_nothing_and_says_why(stage):
    stage.cluster.apply_job(manifest(epochs=0))
    await stage.look()
    assert stage.condition("Accepted") == ("False", "InvalidSpec")
    assert not stage.cluster.of("Job")


async def test_a_job_that_is_gone_is_forgotten(begun):
    begun.cluster.remove("SplitTrainingJob", KEY.name)
    assert await begun.look(1) is None
    assert not begun.reconciler._states


async def test_a_job_that_is_being_deleted_gets_nothing_made_again(begun):
    begun.cluster.objects["SplitTrainingJob", *KEY]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    begun.cluster.remove("Job", SERVER)
    assert await begun.look(1) is None
    assert SERVER not in begun.cluster.of("Job")


async def test_children_of_an_earlier_job_of_the_same_name_are_waited_for(begun):
    begun.cluster.server.collects = False
    begun.cluster.server.storage.remove(Key("SplitTrainingJob", *KEY))
    begun.cluster.apply_job(manifest())
    before = set(begun.cluster.objects)
    assert await begun.look(1) <= timedelta(seconds=5)
    made = {key.kind for key in set(begun.cluster.objects) - before}
    assert made == {"Event"}
    begun.cluster.server.collect()
    await begun.look(5)
    uid = begun.cluster.of("SplitTrainingJob")[KEY.name]["metadata"]["uid"]
    assert {each["metadata"]["ownerReferences"][0]["uid"] for each in begun.cluster.of("Job").values()} == {
        uid
    }


async def test_in_a_namespace_that_ends_nothing_is_tried_again_and_again(stage):
    stage.cluster.ending.add("default")
    stage.cluster.apply_job(manifest())
    assert await stage.look() == timedelta(minutes=10)
    assert not stage.cluster.of("Job")


async def test_an_api_server_that_does_not_answer_is_said_to_be_away(stage):
    stage.cluster.apply_job(manifest())
    stage.cluster.away = True
    with pytest.raises(RetryableError):
        await stage.look()
    stage.cluster.away = False
    await stage.look(1)
    assert set(stage.cluster.of("Job")) == {SERVER, *CLIENTS}


async def test_an_event_that_could_not_be_posted_is_posted_at_the_next_look(stage, monkeypatch):
    stage.cluster.apply_job(manifest())

    async def away(_):
        raise RetryableError("away")

    with monkeypatch.context() as context:
        context.setattr(stage.cluster, "post_event", away)
        assert await stage.look() <= timedelta(seconds=10)
    assert stage.story == []
    await stage.look(1)
    assert stage.story[0] == "Accepted"
    assert len(stage.story) == len(set(stage.story))


async def test_suspending_frees_every_pod_and_resuming_makes_them_again(begun):
    begun.cluster.apply_job(manifest(suspend=True))
    await begun.look(1)
    assert not begun.cluster.of("Job")
    await begun.look(1)
    assert begun.condition("Suspended")[0] == "True"
    begun.cluster.apply_job(manifest())
    await begun.look(1)
    assert set(begun.cluster.of("Job")) == {SERVER, *CLIENTS}


async def test_a_job_whose_time_to_live_is_over_is_deleted_and_not_written_to(stage):
    stage.cluster.apply_job(manifest(ttlSecondsAfterFinished=60))
    await stage.look()
    server = stage.cluster.of("Job")[SERVER]
    stage.cluster.keep({**server, "status": {"conditions": [{"type": "Complete", "status": "True"}]}})
    await stage.look(1)
    assert stage.condition("Complete")[0] == "True"
    await stage.look(61)
    assert not stage.cluster.of("SplitTrainingJob")
    assert not stage.cluster.of("Job")
    assert await stage.look() is None
