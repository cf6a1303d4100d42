"""Children are brought back to what is rendered, whoever changed or deleted them; nothing else is written."""

from dataclasses import replace

import pytest

from pslgs_operator import names
from pslgs_operator.settings import Settings
from reconciling.test_reconciling import CLIENTS, KEY, SERVER, TRAINING, Stage, manifest

MANIFEST, CLAIM = names.manifest_name("digits"), names.checkpoints_name("digits")
SUPPORTING = [
    pytest.param("ConfigMap", MANIFEST, id="manifest"),
    pytest.param("Service", SERVER, id="service"),
    pytest.param("NetworkPolicy", SERVER, id="policy of the server"),
    pytest.param("NetworkPolicy", names.clients_name("digits"), id="policy of the clients"),
    pytest.param("PersistentVolumeClaim", CLAIM, id="claim"),
    pytest.param("PodMonitor", "digits", id="monitor"),
]
STORED = manifest(checkpoint={"storage": {"size": "1Gi"}})


class ConvergingStage(Stage):
    """A stage whose operator has other settings."""

    settings = Settings(pod_monitors=True)

    def with_settings(self, **settings):
        self.settings = replace(self.settings, **settings)
        self.reconciler = replace(self.restarted(), settings=self.settings)
        return self

    def child(self, kind, name):
        return self.cluster.of(kind)[name]

    def edit(self, kind, name, **metadata):
        before = self.child(kind, name)
        self.cluster.keep({**before, "metadata": {**before["metadata"], **metadata}})

    async def train(self):
        self.run_server()
        self.cluster.reports["10.0.0.1"] = TRAINING
        await self.settle()
        await self.look(5)
        assert self.status["trainingStartTime"]
        await self.settle()


@pytest.fixture
async def made():
    stage = ConvergingStage().with_settings()
    stage.cluster.apply_job(STORED)
    await stage.settle()
    return stage


@pytest.fixture(params=[False, True], ids=["before training", "during training"])
async def running(request, made):
    if request.param:
        await made.train()
    return made


@pytest.mark.parametrize(("kind", "name"), SUPPORTING)
async def test_a_supporting_object_that_is_deleted_is_created_again_in_one_reconcile(running, kind, name):
    running.cluster.remove(kind, name)
    await running.look(1)
    assert name in running.cluster.of(kind)


@pytest.mark.parametrize(
    ("kind", "name", "part", "edit"),
    [
        pytest.param("ConfigMap", MANIFEST, "data", {"job.yaml": "nonsense"}, id="manifest"),
        pytest.param("NetworkPolicy", SERVER, "spec", {"ingress": [{}]}, id="policy"),
        pytest.param("Service", SERVER, "spec", {"selector": {"app": "other"}}, id="service"),
        pytest.param("PodMonitor", "digits", "spec", {"podMetricsEndpoints": []}, id="monitor"),
    ],
)
async def test_a_supporting_object_that_is_edited_is_mended_in_one_reconcile(running, kind, name, part, edit):
    before = running.child(kind, name)
    running.cluster.keep({**before, part: {**before[part], **edit}})
    await running.look(1)
    assert running.child(kind, name)[part] == before[part]


@pytest.mark.parametrize(("kind", "name"), SUPPORTING)
@pytest.mark.parametrize("part", ["labels", "ownerReferences"])
async def test_labels_and_owner_are_restored(running, kind, name, part):
    before = running.child(kind, name)
    identity = (names.JOB_LABEL, names.JOB_UID_LABEL, names.MANAGED_BY_LABEL)
    labels = {label: before["metadata"]["labels"][label] for label in identity}
    running.edit(kind, name, **{part: {"labels": labels, "ownerReferences": []}[part]})
    await running.look(1)
    assert running.child(kind, name)["metadata"][part] == before["metadata"][part]


async def test_a_job_whose_owner_was_removed_is_owned_again_and_keeps_running(made):
    await made.train()
    before = made.child("Job", SERVER)["metadata"]
    made.edit("Job", SERVER, ownerReferences=[])
    await made.look(1)
    after = made.child("Job", SERVER)["metadata"]
    for part in ("ownerReferences", "annotations", "labels", "uid"):
        assert after[part] == before[part]


async def test_an_operator_that_restarts_writes_nothing_while_nothing_changes(running):
    before = running.cluster.writes
    for _ in range(2):
        running.with_settings()
        for _ in range(3):
            await running.look(1)
    assert running.cluster.writes == before


async def test_a_claim_that_a_user_enlarged_stays_as_large(made):
    before = made.child("PersistentVolumeClaim", CLAIM)
    larger = {**before["spec"], "resources": {"requests": {"storage": "5Gi"}}}
    made.cluster.keep({**before, "spec": larger})
    await made.settle()
    made.cluster.apply_job(manifest(checkpoint={"storage": {"size": "1Gi"}}, evaluateEveryEpochs=2))
    await made.settle()
    assert made.child("PersistentVolumeClaim", CLAIM)["spec"] == larger


async def test_a_claim_grows_with_the_job(made):
    made.cluster.apply_job(manifest(checkpoint={"storage": {"size": "2Gi"}}))
    await made.settle()
    claim = made.child("PersistentVolumeClaim", CLAIM)
    assert claim["spec"]["resources"]["requests"]["storage"] == "2Gi"


async def test_an_object_that_a_webhook_changes_is_no_loop(made):
    def mutate(_verb, kind, body):
        if kind.kind == "ConfigMap":
            body["data"] = {"job.yaml": "as the webhook wants it"}

    made.cluster.server.admission.append(mutate)
    made.cluster.remove("ConfigMap", MANIFEST)
    await made.settle()
    before = made.cluster.writes
    for _ in range(10):
        await made.look(1)
    assert made.cluster.writes == before


class TestSettingsOfTheChart:
    CHANGED = pytest.mark.parametrize(
        "settings",
        [
            pytest.param({"client_image": "runtime:2", "server_image": "runtime:2"}, id="image"),
            pytest.param({"image_pull_secrets": ("registry",)}, id="pull secret"),
        ],
    )

    @CHANGED
    async def test_reach_jobs_whose_training_has_not_begun(self, made, settings):
        before = {name: each["metadata"]["uid"] for name, each in made.cluster.of("Job").items()}
        await made.with_settings(**settings).settle()
        after = {name: each["metadata"]["uid"] for name, each in made.cluster.of("Job").items()}
        assert after.keys() == before.keys() == {SERVER, *CLIENTS}
        assert not set(after.values()) & set(before.values())

    @CHANGED
    async def test_leave_jobs_alone_whose_training_has_begun(self, made, settings):
        await made.train()
        before = made.cluster.of("Job")
        await made.with_settings(**settings).settle()
        assert made.cluster.of("Job") == before

    async def test_a_monitoring_namespace_reaches_policies_at_any_time(self, running):
        jobs = running.cluster.of("Job")
        await running.with_settings(monitoring_namespaces=("observability",)).settle()
        assert "observability" in str(running.child("NetworkPolicy", SERVER)["spec"])
        assert running.cluster.of("Job") == jobs

    async def test_a_monitor_that_is_switched_off_is_removed(self, running):
        await running.with_settings(pod_monitors=False).settle()
        assert not running.cluster.of("PodMonitor")


async def test_a_node_that_joins_does_not_restart_the_server(made):
    before = made.child("Job", SERVER)["metadata"]["uid"]
    node = made.child("Node", "edge-0")
    labels = node["metadata"]["labels"]
    made.cluster.keep({"kind": "Node", "metadata": {"name": "edge-2", "labels": labels}})
    await made.settle()
    assert names.client_name("digits", "edge-2-0") in made.cluster.of("Job")
    assert made.child("Job", SERVER)["metadata"]["uid"] == before


async def test_a_claim_that_is_not_wanted_any_more_is_not_deleted(made):
    made.cluster.apply_job(manifest())
    await made.settle()
    assert CLAIM in made.cluster.of("PersistentVolumeClaim")
    assert CLAIM not in str(made.child("Job", SERVER)["spec"])


async def test_an_annotation_of_the_service_that_is_removed_from_the_job_is_removed(made):
    chosen = {"service": {"annotations": {"example.com/pool": "a"}}}
    made.cluster.apply_job(manifest(server=chosen))
    await made.settle()
    assert "example.com/pool" in made.child("Service", SERVER)["metadata"]["annotations"]
    made.cluster.apply_job(manifest())
    await made.settle()
    assert "example.com/pool" not in made.child("Service", SERVER)["metadata"]["annotations"]


class TestAnEarlierJobOfTheSameName:
    @pytest.fixture
    async def orphaned(self, made):
        """A job that trained was deleted with ``--cascade=orphan``, and another of its name was applied."""
        await made.train()
        self.earlier = made.uid
        made.cluster.server.collects = False
        for key, body in list(made.cluster.objects.items()):
            if body["metadata"].get("ownerReferences"):
                made.edit(key.kind, key.name, ownerReferences=[])
        made.cluster.remove("SplitTrainingJob", KEY.name)
        await made.look(1)
        made.cluster.apply_job(STORED)
        await made.settle()
        return made

    async def test_its_progress_is_not_shown(self, orphaned):
        assert orphaned.uid != self.earlier
        assert "trainingStartTime" not in orphaned.status
        assert not orphaned.status.get("training", {}).get("step")
        assert orphaned.condition("Ready")[0] == "False"

    async def test_its_claim_is_left_to_the_user(self, orphaned):
        assert orphaned.condition("Degraded") == ("True", "NameTaken")
        assert "claimName" in str(orphaned.status["conditions"])
        assert not orphaned.child("PersistentVolumeClaim", CLAIM)["metadata"].get("ownerReferences")

    async def test_its_pods_are_waited_for_and_then_all_that_it_left_is_replaced(self, orphaned):
        orphaned.cluster.remove("PersistentVolumeClaim", CLAIM)
        await orphaned.look(60)
        await orphaned.settle()
        assert SERVER not in orphaned.cluster.of("Job")
        orphaned.cluster.remove("Pod", "server-pod")
        await orphaned.settle()
        kinds = ("Job", "Service", "ConfigMap", "NetworkPolicy", "PodMonitor", "Secret")
        owners = {
            (kind, owner["uid"])
            for kind in kinds
            for each in orphaned.cluster.of(kind).values()
            if names.AUTHORITY_LABEL not in each["metadata"]["labels"]  # in the operator's namespace
            for owner in each["metadata"]["ownerReferences"] or [{"uid": "nobody"}]
        }
        assert owners == {(kind, orphaned.uid) for kind in kinds}
        assert orphaned.cluster.of("Job").keys() == {SERVER, *CLIENTS}

    async def test_a_copy_that_a_user_made_of_a_child_stays(self, orphaned):
        labels = names.labels(KEY.name) | {names.JOB_UID_LABEL: self.earlier}
        copy = {"name": "my-notes", "namespace": KEY.namespace, "labels": labels}
        orphaned.cluster.keep({"kind": "ConfigMap", "metadata": copy, "data": {"a": "b"}})
        await orphaned.settle()
        assert "my-notes" in orphaned.cluster.of("ConfigMap")
