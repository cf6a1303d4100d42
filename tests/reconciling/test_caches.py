from pslgs_operator.cache import Cache, ObjectKey, is_newer
from pslgs_operator.caches import Caches
from pslgs_operator.cluster import Key
from pslgs_operator.resources import CLAIMS, JOBS, NODES, PODS, SERVICES, TRAINING_JOBS
from reconciling.objects import a_node, a_training_job, an_object

CIFAR = Key("default", "cifar")
WHERE = ObjectKey("default", "cifar-server")


def new_cache():
    return Cache(JOBS, lambda body: body.get("status"))


def test_what_is_put_is_found_by_its_job():
    cache = new_cache()
    cache.put(an_object(status="well"))
    assert {name: entry.value for name, entry in cache.of_job(CIFAR).items()} == {"cifar-server": "well"}
    assert not cache.of_job(Key("other", "cifar"))


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
    caches = Caches()
    caches.jobs.put(an_object(version="1"))
    change = caches.jobs.put(an_object(version="2", job=None))
    assert not caches.jobs.of_job(CIFAR)
    assert caches.concerned(JOBS, change) == {CIFAR}


def test_versions_are_numbers():
    assert is_newer("10", "9")
    assert not is_newer("9", "10")
    assert not is_newer("9", "9")
    assert not is_newer("zebra", "9")


def test_every_kind_that_is_watched_has_a_cache_of_its_own():
    for resource, cache in Caches().by_resource.items():
        assert cache.resource is resource


def test_a_child_concerns_its_job():
    caches = Caches()
    for resource, kind in (
        (JOBS, "Job"),
        (PODS, "Pod"),
        (SERVICES, "Service"),
        (CLAIMS, "PersistentVolumeClaim"),
    ):
        change = caches.by_resource[resource].put(an_object(kind))
        assert caches.concerned(resource, change) == {CIFAR}


def test_a_job_is_looked_at_for_its_spec_and_not_for_the_operators_own_status():
    caches = Caches()

    def told(**job):
        return caches.concerned(TRAINING_JOBS, caches.training_jobs.put(a_training_job(**job)))

    assert told() == {CIFAR}
    assert told(version="2", phase="Running") == set()
    assert caches.training_jobs.all()[ObjectKey(*CIFAR)].value.phase == "Running"
    assert told(version="3", generation=2, phase="Running") == {CIFAR}
    assert caches.concerned(TRAINING_JOBS, caches.training_jobs.drop(ObjectKey(*CIFAR))) == {CIFAR}


class TestNodes:
    def caches(self):
        caches = Caches()
        caches.training_jobs.put(a_training_job("cifar", edge="true"))
        caches.training_jobs.put(a_training_job("other", edge="no"))
        caches.training_jobs.put(a_training_job("nowhere"))
        return caches

    def told(self, caches, node):
        return caches.concerned(NODES, caches.nodes.put(node))

    def test_a_node_concerns_the_jobs_that_select_it(self):
        assert self.told(self.caches(), a_node("edge-0", edge="true", zone="a")) == {CIFAR}

    def test_a_node_that_is_relabelled_concerns_both_those_before_and_those_after(self):
        caches = self.caches()
        self.told(caches, a_node("edge-0", edge="true"))
        assert self.told(caches, a_node("edge-0", version="2", edge="no")) == {CIFAR, Key("default", "other")}

    def test_a_nodes_heartbeats_concern_nobody(self):
        caches = self.caches()
        self.told(caches, a_node("edge-0", edge="true"))
        assert self.told(caches, a_node("edge-0", version="2", edge="true")) == set()
        assert self.told(caches, a_node("edge-0", version="3", ready=False, edge="true")) == {CIFAR}

    def test_a_node_that_goes_concerns_the_jobs_that_selected_it(self):
        caches = self.caches()
        self.told(caches, a_node("edge-0", edge="true"))
        assert caches.concerned(NODES, caches.nodes.drop(ObjectKey("", "edge-0"))) == {CIFAR}

    def test_the_servers_node_concerns_its_job(self):
        caches = self.caches()
        caches.pods.put(an_object("Pod", "cifar-server-x", spec={"nodeName": "gpu-0"}))
        assert self.told(caches, a_node("gpu-0")) == {CIFAR}

    def test_a_selector_that_names_nothing_selects_nothing(self):
        assert Key("default", "nowhere") not in self.told(self.caches(), a_node("edge-0", edge="true"))


class TestLastWords:
    """Of a server whose pod is gone before anybody looks at the job again."""

    words = '{"message": "asked to end", "report": {"phase": "Interrupted", "step": 57}}'

    def caches(self, applied="2026-01-01T00:00:00Z"):
        caches = Caches()
        job = a_training_job()
        job["metadata"]["creationTimestamp"] = applied
        caches.take_in(TRAINING_JOBS, job)
        return caches

    def pod(self, version="2", words=words):
        state = {"terminated": {"exitCode": 75, "message": words}} if words else {"running": {}}
        status = {"phase": "Running", "containerStatuses": [{"name": "server", "state": state}]}
        pod = an_object("Pod", "cifar-server-x", version=version, status=status)
        pod["metadata"]["creationTimestamp"] = "2026-01-01T00:01:00Z"
        return pod

    def test_they_are_kept_as_the_news_of_its_end_has_them(self):
        caches = self.caches()
        caches.take_in(PODS, self.pod("1", words=None))
        assert caches.let_go(PODS, self.pod()) == {CIFAR}
        assert not caches.pods.all()
        assert caches.departed[CIFAR].last_words.message == "asked to end"

    def test_they_are_forgotten_with_the_job(self):
        caches = self.caches()
        caches.take_in(PODS, self.pod())
        caches.let_go(PODS, self.pod())
        caches.let_go(TRAINING_JOBS, a_training_job())
        assert not caches.departed

    def test_those_of_an_earlier_job_of_the_name_are_not_heard(self):
        caches = self.caches(applied="2026-01-01T00:02:00Z")
        caches.take_in(PODS, self.pod())
        caches.let_go(PODS, self.pod())
        assert not caches.departed

    def test_a_pod_without_any_leaves_those_of_the_one_before(self):
        caches = self.caches()
        caches.take_in(PODS, self.pod(words=None))
        caches.let_go(PODS, self.pod(words=None))
        assert not caches.departed
