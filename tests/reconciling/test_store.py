from datetime import UTC, datetime

from pslgs_operator.gvk import CLAIMS, JOBS, NODES, PODS, SERVICES, TRAINING_JOBS
from pslgs_operator.kube_client import JobKey
from pslgs_operator.observe import observe
from pslgs_operator.store import ObjectKey, Store, Stores, is_newer
from pslgs_operator.training_job import TrainingJob
from reconciling.life import manifest
from reconciling.objects import a_node, a_training_job, an_object

CIFAR = JobKey("default", "cifar")
WHERE = ObjectKey("default", "cifar-server")


def new_cache():
    return Store(JOBS, lambda body: body.get("status"))


def test_what_is_put_is_found_by_its_job():
    cache = new_cache()
    cache.put(an_object(status="well"))
    assert {name: entry.value for name, entry in cache.of_job(CIFAR).items()} == {"cifar-server": "well"}
    assert not cache.of_job(JobKey("other", "cifar"))


def test_only_what_matters_is_a_change():
    cache = new_cache()
    assert cache.put(an_object(version="1", status="well"))
    assert cache.put(an_object(version="2", status="well")) is None
    assert cache.all()[WHERE].version == "2"
    assert cache.put(an_object(version="3", status="ill"))


def test_the_watch_does_not_overwrite_what_a_later_write_was_answered():
    cache = new_cache()
    cache.put(an_object(version="10", status="after the write"))
    assert cache.put(an_object(version="9", status="before it")) is None
    assert cache.all()[WHERE].value == "after the write"


def test_a_new_object_of_the_same_name_outlives_the_news_of_the_old_ones_end():
    cache = new_cache()
    cache.put(an_object(uid="old", version="1"))
    cache.put(an_object(uid="new", version="2"))
    assert cache.drop(WHERE, uid="old") is None
    assert cache.all()[WHERE].uid == "new"
    assert cache.drop(WHERE, uid="new")
    assert not cache.all()
    assert not cache.of_job(CIFAR)


def test_an_object_whose_label_is_taken_away_leaves_its_job():
    stores = Stores()
    stores.jobs.put(an_object(version="1"))
    change = stores.jobs.put(an_object(version="2", job=None))
    assert not stores.jobs.of_job(CIFAR)
    assert stores.affected_jobs(JOBS, change) == {CIFAR}


def test_versions_are_numbers():
    assert is_newer("10", "9")
    assert not is_newer("9", "10")
    assert not is_newer("9", "9")
    assert not is_newer("zebra", "9")
    assert not is_newer("10", "zebra")


def test_every_kind_that_is_watched_has_a_cache_of_its_own():
    for resource, cache in Stores().by_resource.items():
        assert cache.resource is resource


def test_a_child_concerns_its_job():
    stores = Stores()
    for resource, kind in (
        (JOBS, "Job"),
        (PODS, "Pod"),
        (SERVICES, "Service"),
        (CLAIMS, "PersistentVolumeClaim"),
    ):
        change = stores.by_resource[resource].put(an_object(kind))
        assert stores.affected_jobs(resource, change) == {CIFAR}


def test_a_job_is_looked_at_for_its_spec_and_not_for_the_operators_own_status():
    stores = Stores()

    def told(**job):
        return stores.affected_jobs(TRAINING_JOBS, stores.training_jobs.put(a_training_job(**job)))

    assert told() == {CIFAR}
    assert told(version="2", phase="Running") == set()
    assert stores.training_jobs.all()[ObjectKey(*CIFAR)].value.phase == "Running"
    assert told(version="3", generation=2, phase="Running") == {CIFAR}
    assert stores.affected_jobs(TRAINING_JOBS, stores.training_jobs.drop(ObjectKey(*CIFAR))) == {CIFAR}


class TestNodes:
    def stores(self):
        stores = Stores()
        stores.training_jobs.put(a_training_job("cifar", edge="true"))
        stores.training_jobs.put(a_training_job("other", edge="no"))
        stores.training_jobs.put(a_training_job("nowhere"))
        return stores

    def told(self, stores, node):
        return stores.affected_jobs(NODES, stores.nodes.put(node))

    def test_a_node_concerns_the_jobs_that_select_it(self):
        assert self.told(self.stores(), a_node("edge-0", edge="true", zone="a")) == {CIFAR}

    def test_a_node_that_is_relabelled_concerns_both_those_before_and_those_after(self):
        stores = self.stores()
        self.told(stores, a_node("edge-0", edge="true"))
        assert self.told(stores, a_node("edge-0", version="2", edge="no")) == {
            CIFAR,
            JobKey("default", "other"),
        }

    def test_a_nodes_heartbeats_concern_nobody(self):
        stores = self.stores()
        self.told(stores, a_node("edge-0", edge="true"))
        assert self.told(stores, a_node("edge-0", version="2", edge="true")) == set()
        assert self.told(stores, a_node("edge-0", version="3", ready=False, edge="true")) == {CIFAR}

    def test_a_node_that_goes_concerns_the_jobs_that_selected_it(self):
        stores = self.stores()
        self.told(stores, a_node("edge-0", edge="true"))
        assert stores.affected_jobs(NODES, stores.nodes.drop(ObjectKey("", "edge-0"))) == {CIFAR}

    def test_the_servers_node_concerns_its_job(self):
        stores = self.stores()
        stores.pods.put(an_object("Pod", "cifar-server-x", spec={"nodeName": "gpu-0"}))
        assert self.told(stores, a_node("gpu-0")) == {CIFAR}

    def test_a_selector_that_names_nothing_selects_nothing(self):
        assert JobKey("default", "nowhere") not in self.told(self.stores(), a_node("edge-0", edge="true"))


class TestLastWords:
    """Of a server whose pod is gone before anybody looks at the job again."""

    words = '{"message": "asked to end", "report": {"phase": "Interrupted", "step": 57}}'

    def stores(self, applied="2026-01-01T00:00:00Z"):
        stores = Stores()
        job = a_training_job()
        job["metadata"]["creationTimestamp"] = applied
        stores.upsert(TRAINING_JOBS, job)
        return stores

    def pod(self, version="2", words=words):
        state = {"terminated": {"exitCode": 75, "message": words}} if words else {"running": {}}
        status = {"phase": "Running", "containerStatuses": [{"name": "server", "state": state}]}
        pod = an_object("Pod", "cifar-server-x", version=version, status=status)
        pod["metadata"]["creationTimestamp"] = "2026-01-01T00:01:00Z"
        return pod

    def test_they_are_kept_as_the_news_of_its_end_has_them(self):
        stores = self.stores()
        stores.upsert(PODS, self.pod("1", words=None))
        assert stores.remove(PODS, self.pod()) == {CIFAR}
        assert not stores.pods.all()
        assert stores.last_server_pod[CIFAR].termination_message.message == "asked to end"

    def test_they_are_forgotten_with_the_job(self):
        stores = self.stores()
        stores.upsert(PODS, self.pod())
        stores.remove(PODS, self.pod())
        stores.remove(TRAINING_JOBS, a_training_job())
        assert not stores.last_server_pod

    def test_those_of_an_earlier_job_of_the_name_are_not_heard(self):
        stores = self.stores(applied="2026-01-01T00:02:00Z")
        stores.upsert(PODS, self.pod())
        stores.remove(PODS, self.pod())
        assert not stores.last_server_pod

    def test_a_pod_without_any_leaves_those_of_the_one_before(self):
        stores = self.stores()
        stores.upsert(PODS, self.pod(words=None))
        stores.remove(PODS, self.pod(words=None))
        assert not stores.last_server_pod


def test_the_newest_pod_is_remembered_when_it_is_gone():
    stores = Stores()
    first, second = an_object("Pod", "first"), an_object("Pod", "second", job="another")
    for minute, pod in enumerate((second, first)):
        pod["metadata"]["creationTimestamp"] = f"2026-01-01T00:0{9 - minute}:00Z"
        stores.upsert(PODS, pod)
    stores.remove(PODS, second)
    job = manifest()
    job["metadata"] |= {"uid": "job-uid", "generation": 1}
    snapshot = observe(stores, TrainingJob.parse(job), None, ())
    assert snapshot.last_pod_creation == datetime(2026, 1, 1, 0, 9, tzinfo=UTC)
