"""One job from its beginning to its end, against a real API server; kubelets are played by hand."""

import json
from typing import Any

import pytest

from control_loop.operating import World, container_status, eventually
from control_loop.status_page import StatusPage
from pslgs_operator import names
from pslgs_operator.status.types import ConditionType

pytestmark = pytest.mark.slow  # an operator is started

JOB = "digits"
SERVER = names.server_name(JOB)
OPERATOR = "pslgs-system"


def client_of(world: World, number: int) -> str:
    return names.client_name(JOB, f"{world.namespace}-{number}-0")


def made(world: World, *numbers: int) -> None:
    """Wait until there are the server and these clients."""
    wanted = {SERVER, *(client_of(world, number) for number in numbers)}
    eventually(lambda: world.names("jobs") == wanted, what=f"{wanted}")


def reason(world: World, kind: str, wanted: str) -> str:
    """Wait for the reason of a condition and return its message."""

    def look() -> str:
        _, found, message = world.condition(JOB, kind)
        return (message or "-") if found == wanted else ""

    return eventually(look, what=f"{kind} for the reason {wanted}, not {world.status(JOB)}")


@pytest.fixture
def begun(world: World) -> World:
    """A job whose children are there."""
    world.apply(JOB)
    made(world, 0, 1)
    return world


@pytest.fixture
def training(begun: World, page: StatusPage) -> World:
    """A job that trains."""
    begun.run_pod(SERVER, page.ip)
    for number in (0, 1):
        begun.run_pod(client_of(begun, number), "127.0.0.1")
    page.train(clients={"live": [f"{begun.namespace}-0-0", f"{begun.namespace}-1-0"], "lost": []})
    eventually(lambda: begun.condition(JOB, "Ready")[0] == "True", what=f"Ready, not {begun.status(JOB)}")
    return begun


class TestChildren:
    def test_a_job_gets_all_its_children_with_owner_labels_and_no_finalizer(self, begun):
        assert begun.names("services") >= {SERVER}
        assert names.manifest_name(JOB) in begun.names("configmaps")
        assert names.checkpoints_name(JOB) in begun.names("persistentvolumeclaims")
        assert len(begun.names("networkpolicies")) == 2
        certificates = {client_of(begun, number) + "-tls" for number in (0, 1)}
        assert begun.names("secrets") == {names.server_identity_name(JOB), *certificates}
        uid = begun.get("splittrainingjob", JOB)["metadata"]["uid"]
        assert begun.server.run("--namespace", OPERATOR, "get", "secret", names.authority_name(uid))
        for kind in (
            "jobs",
            "services",
            "configmaps",
            "secrets",
            "networkpolicies",
            "persistentvolumeclaims",
        ):
            for child in begun.all(kind, f"{names.JOB_LABEL}={JOB}"):
                assert [owner["uid"] for owner in child["metadata"]["ownerReferences"]] == [uid]
                assert kind == "persistentvolumeclaims" or "finalizers" not in child["metadata"]

    def test_nothing_is_written_into_the_job_but_its_status(self, begun):
        metadata = begun.get("splittrainingjob", JOB)["metadata"]
        assert "finalizers" not in metadata
        assert set(metadata.get("annotations", {})) <= {"kubectl.kubernetes.io/last-applied-configuration"}
        assert metadata["generation"] == 1

    def test_every_condition_is_there_after_the_first_visit(self, begun):
        eventually(lambda: len(begun.status(JOB).get("conditions", [])) == len(ConditionType))

    @pytest.mark.parametrize("kind", ["service", "configmap", "networkpolicy", "job"])
    def test_a_child_that_is_deleted_is_made_again(self, begun, kind):
        name = names.manifest_name(JOB) if kind == "configmap" else SERVER
        before = begun.get(kind, name)["metadata"]["uid"]
        begun.kubectl("delete", kind, name)
        after = eventually(lambda: begun.get(kind, name) or None)
        assert after["metadata"]["uid"] != before

    @pytest.mark.parametrize(
        ("kind", "name", "patch"),
        [
            ("networkpolicy", SERVER, {"spec": {"ingress": [{}]}}),
            ("networkpolicy", SERVER, {"spec": {"podSelector": {"matchLabels": {"app": "other"}}}}),
            ("service", SERVER, {"spec": {"selector": {"app": "other"}}}),
            ("configmap", names.manifest_name(JOB), {"data": {"job.yaml": "nonsense", "more": "x"}}),
            ("networkpolicy", names.clients_name(JOB), {"metadata": {"ownerReferences": []}}),
        ],
        ids=["open policy", "policy of other pods", "service of other pods", "manifest", "owner"],
    )
    def test_a_child_that_is_edited_is_mended_and_then_left_alone(self, begun, kind, name, patch):
        def content() -> dict[str, Any]:
            found = begun.get(kind, name)
            owners = found["metadata"].get("ownerReferences")
            return {"spec": found.get("spec"), "data": found.get("data"), "owners": owners}

        before = content()
        begun.kubectl("patch", kind, name, "--type=merge", f"--patch={json.dumps(patch)}")
        eventually(lambda: content() == before, what=f"{before}, not {content()}")
        version = begun.get(kind, name)["metadata"]["resourceVersion"]
        begun.kubectl("annotate", "splittrainingjob", JOB, "seen=yes")
        begun.add_node(f"{begun.namespace}-2", site=begun.namespace)
        made(begun, 0, 1, 2)
        assert begun.get(kind, name)["metadata"]["resourceVersion"] == version

    def test_a_job_of_the_name_of_an_orphaned_one_replaces_what_that_left(self, begun):
        claim = names.checkpoints_name(JOB)
        begun.kubectl("delete", "splittrainingjob", JOB, "--cascade=orphan")
        begun.apply(JOB)
        assert f"claimName to {claim}" in reason(begun, "Degraded", "NameTaken")
        begun.kubectl("delete", "persistentvolumeclaim", claim, "--wait=false")
        uid = begun.get("splittrainingjob", JOB)["metadata"]["uid"]
        kinds = ("jobs", "services", "configmaps", "networkpolicies", "secrets")

        def owners() -> set[str]:
            children = [each for kind in kinds for each in begun.all(kind, f"{names.JOB_LABEL}={JOB}")]
            none = [{"uid": "nobody"}]
            return {
                owner["uid"] for each in children for owner in each["metadata"].get("ownerReferences", none)
            }

        eventually(lambda: owners() == {uid} and begun.names("jobs"), 90, what=f"{uid}, not {owners()}")

    def test_deleting_the_job_removes_every_child(self, begun):
        begun.kubectl("delete", "splittrainingjob", JOB)
        for kind in ("jobs", "pods", "services", "secrets", "networkpolicies"):
            eventually(lambda kind=kind: not begun.all(kind, names.JOB_LABEL), what=f"no {kind}")

    def test_a_deletion_in_the_foreground_waits_for_every_child(self, begun):
        begun.kubectl("delete", "splittrainingjob", JOB, "--cascade=foreground")
        for kind in ("jobs", "services", "secrets", "networkpolicies", "configmaps"):
            assert begun.all(kind, names.JOB_LABEL) == []

    def test_a_job_that_is_deleted_and_applied_again_is_made_anew(self, begun):
        before = begun.get("job", SERVER)["metadata"]["uid"]
        begun.kubectl("delete", "splittrainingjob", JOB)
        begun.apply(JOB)
        uid = begun.get("splittrainingjob", JOB)["metadata"]["uid"]

        def anew() -> bool:
            server = begun.get("job", SERVER)
            return bool(server) and server["metadata"]["ownerReferences"][0]["uid"] == uid

        eventually(anew)
        assert begun.get("job", SERVER)["metadata"]["uid"] != before


class TestNodes:
    def test_a_node_that_appears_gets_a_client_and_one_that_goes_loses_it(self, begun):
        node = f"{begun.namespace}-2"
        begun.add_node(node, site=begun.namespace)
        made(begun, 0, 1, 2)
        begun.server.run("delete", "node", node)
        made(begun, 0, 1)

    def test_a_node_that_is_relabelled_loses_and_gets_its_client(self, begun):
        node = begun.edges[1]
        begun.server.run("label", "node", node, "site-")
        made(begun, 0)
        begun.server.run("label", "node", node, f"site={begun.namespace}")
        made(begun, 0, 1)

    def test_without_any_node_it_says_which_label_is_missing(self, world):
        world.apply(JOB, clients={"nodeSelector": {"pslgs.dev/edge": world.namespace}})
        message = reason(world, "Ready", "NoMatchingNodes")
        assert f"pslgs.dev/edge={world.namespace}" in message
        assert not world.names("jobs")


class TestTraining:
    def test_it_is_ready_once_the_server_says_so(self, training):
        status = training.status(JOB)
        assert status["phase"] == "Running"
        assert status["clients"]["summary"] == "2/2"
        assert status["training"]["step"] == 5
        assert status["trainingStartTime"]

    def test_a_server_that_falls_silent_is_not_ready(self, training, page):
        page.status = {}
        assert reason(training, "Ready", "ServerSilent")

    def test_a_lost_node_is_named_and_it_returns(self, training, page):
        node = training.edges[1]
        live, lost = f"{training.namespace}-0-0", f"{training.namespace}-1-0"
        training.set_ready(node, ready=False)
        page.train(clients={"live": [live], "lost": [lost]})
        message = reason(training, "Degraded", "ClientLost")
        assert node in message
        training.set_ready(node)
        page.train(clients={"live": [live, lost], "lost": []})
        eventually(lambda: training.condition(JOB, "Degraded")[0] == "False")
        story = eventually(lambda: [e for e in training.events(JOB) if e.startswith("Client")])
        assert story[:1] == ["ClientLost"]

    def test_the_training_ends_with_its_last_words(self, training):
        pod = training.pod_of(SERVER)
        figures = {"epoch": 2, "epochs": 2, "step": 20, "steps": 20, "progress": 1.0, "accuracy": 0.961}
        words = {"phase": "Finished", **figures, "clients": {"live": 2, "lost": 0}, "exitCode": 0}
        training.end_pod(pod, 0, json.dumps(words))
        eventually(lambda: training.condition(JOB, "Complete")[0] == "True")
        status = training.status(JOB)
        assert status["phase"] == "Complete"
        assert status["training"]["accuracy"] == "96.1%"
        assert status["completionTime"]

    def test_a_server_with_bad_input_fails_at_once_and_frees_the_clients(self, training):
        words = {"exitCode": 2, "message": "spec.model.cutLayer: there is no layer named layer9"}
        training.end_pod(training.pod_of(SERVER), 2, json.dumps(words))
        assert "layer9" in reason(training, "Failed", "BadInput")
        eventually(lambda: training.names("jobs") == {SERVER})

    def test_the_story_is_told_once_and_in_order(self, training):
        story = training.events(JOB)
        assert story[0] == "Accepted"
        assert story.index("Started") < story.index("TrainingStarted")
        assert len(story) == len(set(story))


class TestTroubles:
    def test_an_image_that_cannot_be_pulled_is_told_at_once(self, begun):
        pod = begun.pod_of(SERVER)
        state = {
            "waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "nowhere/nothing"'}
        }
        begun.patch_status(
            "pod", pod, {"phase": "Pending", "containerStatuses": [container_status("server", state)]}
        )
        assert "nowhere/nothing" in reason(begun, "Degraded", "ImagePullBackOff")

    def test_a_pod_that_fits_nowhere_is_told_with_what_to_do(self, begun):
        message = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        begun.patch_status("pod", begun.pod_of(SERVER), {"conditions": [condition]})
        assert "gpu" in reason(begun, "Degraded", "Unschedulable")

    def test_an_exhausted_quota_is_told_and_is_no_hot_loop(self, world):
        hard = {"hard": {"count/jobs.batch": "0"}}
        quota = {"apiVersion": "v1", "kind": "ResourceQuota", "spec": hard}
        world.server.run.apply(quota | {"metadata": {"name": "none", "namespace": world.namespace}})
        eventually(lambda: "hard" in world.get("resourcequota", "none").get("status", {}))
        world.apply(JOB)
        assert "quota" in reason(world, "Degraded", "RefusedByCluster")
        before = world.server.mark()
        world.kubectl("annotate", "service", SERVER, "anything=new")  # the operator hears of it, and looks
        world.kubectl("label", "service", SERVER, "anything=new")
        world.kubectl("delete", "service", SERVER)
        eventually(lambda: world.get("service", SERVER))
        tried = [
            each for each in world.server.requests(before)
            if each.resource == "jobs" and each.verb == "patch" and each.namespace == world.namespace
        ]  # fmt: skip
        assert len(tried) <= 1
        world.kubectl("delete", "resourcequota", "none")
        made(world, 0, 1)
        eventually(lambda: world.condition(JOB, "Degraded")[0] == "False")


class TestSuspending:
    def test_it_frees_every_pod_and_goes_on_later(self, training):
        begun = training.status(JOB)["startTime"]
        training.apply(JOB, suspend=True)
        eventually(lambda: not training.names("jobs") and not training.names("pods"))
        eventually(lambda: training.condition(JOB, "Suspended")[0] == "True")
        assert names.checkpoints_name(JOB) in training.names("persistentvolumeclaims")
        assert names.server_identity_name(JOB) in training.names("secrets")
        assert "startTime" not in training.status(JOB)
        training.apply(JOB)
        made(training, 0, 1)
        eventually(lambda: training.condition(JOB, "Suspended")[0] == "False")
        assert eventually(lambda: training.status(JOB).get("startTime")) >= begun

    def test_one_that_is_applied_suspended_gets_no_pods(self, world):
        world.apply(JOB, suspend=True)
        eventually(lambda: world.condition(JOB, "Suspended")[0] == "True")
        assert not world.names("jobs")


class TestTimes:
    def test_a_deadline_ends_the_job_and_frees_its_pods(self, world):
        world.apply(JOB, activeDeadlineSeconds=2)
        assert reason(world, "Failed", "DeadlineExceeded")
        eventually(lambda: not world.names("jobs"))
        assert world.status(JOB)["phase"] == "Failed"

    def test_a_job_whose_time_to_live_is_over_is_deleted(self, world):
        world.apply(JOB, activeDeadlineSeconds=1, ttlSecondsAfterFinished=2)
        assert reason(world, "Failed", "DeadlineExceeded")
        eventually(lambda: not world.get("splittrainingjob", JOB))


class TestNeighbours:
    def test_two_jobs_of_one_namespace_do_not_see_each_other(self, begun):
        begun.apply("other")
        eventually(lambda: len(begun.names("jobs")) == 6)
        begun.kubectl("delete", "splittrainingjob", "other")
        made(begun, 0, 1)

    def test_one_name_in_two_namespaces_is_two_jobs(self, begun):
        other = World(begun.server, f"{begun.namespace}-too", begun.leases)
        begun.server.run("create", "namespace", other.namespace)
        begun.server.run.apply(
            {**begun.get("splittrainingjob", JOB), "metadata": {"name": JOB, "namespace": other.namespace}}
        )
        eventually(lambda: len(other.names("jobs")) == 3)
        ours, theirs = (set(each.all("jobs")[0]["metadata"]["uid"]) for each in (begun, other))
        begun.kubectl("delete", "splittrainingjob", JOB)
        eventually(lambda: not begun.names("jobs"))
        assert ours != theirs
        assert len(other.names("jobs")) == 3
        begun.server.run("delete", "namespace", other.namespace, "--wait=false")
