"""A job in a queue runs only while Kueue admits it, server and clients together."""

import pytest

from pslgs_operator.settings import Settings
from reconciling.kueue import QUEUE, SERVER, WORKLOAD, QueuedWorld, admitted, in_training
from reconciling.lifetime import KEY, Operator

CHILDREN = {SERVER, "digits-client-edge-0-0", "digits-client-edge-1-0"}


async def looks(operator: Operator) -> None:
    """Reconcile some times, while no controller of Kubernetes acts."""
    for _ in range(4):
        operator.watches.deliver()
        await operator.look()
        operator.world.later(60)


def a_class(kind: str, group: str, value: int) -> dict[str, object]:
    version = "v1beta2" if "kueue" in group else "v1"
    return {"apiVersion": f"{group}/{version}", "kind": kind, "metadata": {"name": "high"}, "value": value}


class TestBeforeItsAdmission:
    async def test_a_job_asks_for_all_its_pods_at_once_and_creates_none(self):
        world = QueuedWorld()
        await world.submit().settle()
        spec, metadata = world.workload["spec"], world.workload["metadata"]
        assert spec["queueName"] == "edge"
        assert [(each["name"], each["count"]) for each in spec["podSets"]] == [("server", 1), ("clients", 2)]
        assert (
            metadata["ownerReferences"][0]["uid"] == world.of("SplitTrainingJob")["digits"]["metadata"]["uid"]
        )
        assert world.of("Job") == {}
        assert "Service" in {key.kind for key in world.objects}

    async def test_the_status_says_that_it_waits_and_what_kueue_answers(self):
        world = QueuedWorld()
        operator = world.submit()
        await operator.settle()
        assert world.said("Ready")[:2] == ("False", "WaitingForQuota")
        world.decide(
            ("QuotaReserved", "False", "Pending", "insufficient quota for cpu in flavor sites, 1 more needed")
        )
        await operator.settle()
        status, reason, message = world.said("Ready")
        assert (status, reason) == ("False", "WaitingForQuota")
        assert message == (
            "waiting for quota in LocalQueue edge: insufficient quota for cpu in flavor sites, 1 more needed"
        )
        assert world.said("Degraded")[0] == "False"
        assert world.status["phase"] == "Pending"
        assert "WaitingForQuota" in [each["reason"] for each in world.of("Event").values()]

    async def test_reserved_quota_is_not_enough_while_an_admission_check_is_pending(self):
        world = QueuedWorld()
        operator = world.submit()
        await operator.settle()
        world.reserve()
        world.decide(admissionChecks=[{"name": "capacity", "state": "Pending", "message": ""}])
        await operator.settle()
        assert world.of("Job") == {}
        assert "waiting for the admission check capacity is Pending" in world.said("Ready")[2]

    async def test_a_node_that_comes_is_asked_for_as_well_and_keeps_the_place_in_the_queue(self):
        world = QueuedWorld()
        operator = world.submit()
        await operator.settle()
        before = world.workload["metadata"]["uid"]
        world.add_node("edge-2")
        await operator.settle()
        assert world.workload["spec"]["podSets"][1]["count"] == 3
        assert world.workload["metadata"]["uid"] == before

    async def test_another_queue_is_asked_when_the_label_changes(self):
        world = QueuedWorld()
        operator = world.submit()
        await operator.settle()
        world.label({"kueue.x-k8s.io/queue-name": "night"})
        await operator.settle()
        assert world.workload["spec"]["queueName"] == "night"

    async def test_without_matching_nodes_nothing_is_asked_for(self):
        world = QueuedWorld()
        await world.submit(clients={"nodeSelector": {"nobody": "has"}}).settle()
        assert world.of("Workload") == {}
        assert world.said("Ready")[1] == "NoMatchingNodes"

    async def test_a_deactivated_job_names_the_command_that_activates_it(self):
        world = QueuedWorld()
        operator = world.submit()
        await operator.settle()
        world.put({**world.workload, "spec": {**world.workload["spec"], "active": False}})
        await operator.settle()
        assert f"kubectl --namespace default patch workload {WORKLOAD}" in world.said("Ready")[2]
        assert world.workload["spec"]["active"] is False


class TestPriorities:
    async def test_a_class_of_workloads_is_named_by_the_label(self):
        world = QueuedWorld()
        world.put(a_class("WorkloadPriorityClass", "kueue.x-k8s.io", 700))
        await world.submit(QUEUE | {"kueue.x-k8s.io/priority-class": "high"}).settle()
        spec = world.workload["spec"]
        assert spec["priority"] == 700
        assert spec["priorityClassRef"] == {
            "group": "kueue.x-k8s.io", "kind": "WorkloadPriorityClass", "name": "high"
        }  # fmt: skip

    async def test_a_class_of_pods_counts_without_it(self):
        world = QueuedWorld()
        world.put(a_class("PriorityClass", "scheduling.k8s.io", 8))
        await world.submit(server={"template": {"spec": {"priorityClassName": "high"}}}).settle()
        spec = world.workload["spec"]
        assert (spec["priority"], spec["priorityClassRef"]["kind"]) == (8, "PriorityClass")

    async def test_one_that_is_not_there_is_named_and_looked_for_again(self):
        world = QueuedWorld()
        operator = world.submit(QUEUE | {"kueue.x-k8s.io/priority-class": "high"})
        await operator.settle()
        assert world.of("Workload") == {}
        assert "WorkloadPriorityClass high does not exist" in world.said("Ready")[2]
        world.put(a_class("WorkloadPriorityClass", "kueue.x-k8s.io", 700))
        world.later(660)
        await operator.settle()
        assert world.workload["spec"]["priority"] == 700


class TestWhileAdmitted:
    async def test_all_pods_run_where_the_flavors_say_and_in_no_queue_of_their_own(self):
        world, _ = await admitted()
        assert set(world.of("Job")) == CHILDREN
        for name, job in world.of("Job").items():
            pods = job["spec"]["template"]["spec"]
            is_server = name == SERVER
            assert pods["nodeSelector"] == ({"pool": "gpu"} if is_server else {"tier": "edge"})
            keys = {each["key"] for each in pods["tolerations"]} if "tolerations" in pods else set()
            assert ("nvidia.com/gpu" in keys) is is_server
            assert not [label for label in job["metadata"]["labels"] if "kueue" in label]
            assert not job["spec"].get("suspend")
        assert "Admitted" in [each["reason"] for each in world.of("Event").values()]

    async def test_what_admission_checks_add_is_in_the_pods_and_replaces_no_label(self):
        world = QueuedWorld()
        operator = world.submit()
        await operator.settle()
        added = {
            "labels": {"provisioned": "yes", "pslgs.dev/job": "another"},
            "annotations": {"request": "r-1"},
            "nodeSelector": {"node-group": "r-1"},
            "tolerations": [{"key": "r-1", "operator": "Exists"}],
        }
        check = {"name": "capacity", "state": "Ready", "message": ""}
        world.decide(admissionChecks=[{**check, "podSetUpdates": [{"name": "server", **added}]}])
        world.admit()
        await operator.settle()
        template = world.of("Job")[SERVER]["spec"]["template"]
        assert template["spec"]["nodeSelector"] == {"pool": "gpu", "node-group": "r-1"}
        assert {"key": "r-1", "operator": "Exists"} in template["spec"]["tolerations"]
        assert template["metadata"]["labels"]["provisioned"] == "yes"
        assert template["metadata"]["labels"]["pslgs.dev/job"] == KEY.name
        assert template["metadata"]["annotations"]["request"] == "r-1"

    async def test_kueue_is_told_when_the_training_runs(self):
        world, _ = await in_training()
        assert world.condition("PodsReady") == ("True", "Started")
        assert world.said("Ready")[1] == "Training"

    async def test_a_flavor_that_is_gone_starts_no_pod_and_stops_none(self):
        world = QueuedWorld()
        operator = world.submit()
        await operator.settle()
        world.delete("ResourceFlavor", "gpu")
        world.admit()
        await operator.settle()
        assert world.of("Job") == {}
        assert "ResourceFlavor gpu does not exist" in world.said("Ready")[2]

    async def test_an_operator_that_restarts_writes_nothing(self):
        world, operator = await in_training()
        before = world.workload
        operator.restart()
        await operator.settle()
        assert world.workload == before
        assert set(world.of("Job")) == CHILDREN

    async def test_a_flavor_that_cannot_be_read_again_does_not_stop_the_training(self):
        world, operator = await in_training()
        world.delete("ResourceFlavor", "gpu")
        operator.restart()
        await operator.settle()
        assert set(world.of("Job")) == CHILDREN
        assert world.said("Ready")[1] == "Training"


class TestNodesThatComeAfterTheAdmission:
    async def test_get_no_client_before_the_next_admission_and_the_status_says_so(self):
        world, operator = await in_training()
        world.add_node("edge-2")
        await operator.settle()
        assert set(world.of("Job")) == CHILDREN
        assert world.status["clients"]["expected"] == 2
        assert "1 more client was not admitted with the job" in world.said("Ready")[2]
        world.evict()
        world.report = None
        await operator.settle()
        assert world.workload["spec"]["podSets"][1]["count"] == 3

    async def test_take_the_places_of_those_that_left(self):
        world, operator = await admitted()
        world.add_node("edge-2")
        world.remove_node("edge-0")
        await operator.settle()
        assert set(world.of("Job")) == {SERVER, "digits-client-edge-1-0", "digits-client-edge-2-0"}


class TestEviction:
    async def test_stops_every_pod_and_gives_the_quota_back_when_they_have_ended(self):
        world, operator = await in_training()
        began = world.status["trainingStartTime"]
        world.evict()
        world.report = None
        await operator.settle()
        assert (world.of("Job"), world.pods()) == ({}, set())
        assert "admission" not in world.workload["status"]
        assert world.condition("QuotaReserved") == ("False", "Pending")
        assert world.condition("Admitted") == ("False", "NoReservation")
        assert world.condition("Requeued") == ("True", "Preempted")
        assert world.condition("PodsReady") == ("False", "WaitForStart")
        assert world.status["trainingStartTime"] == began
        assert "startTime" not in world.status
        assert world.said("Ready")[1] == "WaitingForQuota"
        assert "Kueue evicted the job (Preempted)" in world.said("Ready")[2]

    async def test_is_over_with_the_next_admission(self):
        world, operator = await in_training()
        world.evict()
        world.report = None
        await operator.settle()
        world.admit()
        await operator.settle()
        assert set(world.of("Job")) == CHILDREN
        assert [each["reason"] for each in world.of("Event").values()].count("Admitted") == 2

    @pytest.mark.parametrize("reason", ["Deactivated", "AdmissionCheck", "PodsReadyTimeout"])
    async def test_for_another_reason_than_preemption_waits_for_kueue(self, reason):
        world, operator = await in_training()
        world.evict(reason)
        world.report = None
        await operator.settle()
        assert world.condition("Requeued") == ("False", reason)

    async def test_keeps_the_quota_while_a_pod_still_ends(self):
        world, operator = await in_training()
        world.evict()
        world.report = None
        world.server.collects = False
        await looks(operator)
        assert world.of("Job") == {}
        assert world.said("Ready")[1] == "Evicted"
        assert "admission" in world.workload["status"]
        await operator.settle()
        assert "admission" not in world.workload["status"]

    async def test_follows_when_somebody_deletes_the_workload(self):
        world, operator = await in_training()
        before = world.workload["metadata"]["uid"]
        world.delete("Workload", WORKLOAD)
        world.report = None
        await operator.settle()
        assert world.of("Job") == {}
        assert world.workload["metadata"]["uid"] != before


class TestTheEnd:
    async def test_of_a_job_gives_its_quota_back_for_good(self):
        world, operator = await in_training()
        world.complete(SERVER)
        await operator.settle()
        assert world.status["phase"] == "Complete"
        assert world.condition("Finished") == ("True", "Succeeded")

    async def test_of_a_failed_job_is_told_as_well(self):
        world, operator = await in_training(activeDeadlineSeconds=3600)
        world.later(3601)
        await operator.settle()
        assert world.condition("Finished") == ("True", "Failed")
        assert world.pods() == set()

    async def test_takes_the_workload_along_when_the_job_is_deleted(self):
        world, operator = await in_training()
        world.delete("SplitTrainingJob", KEY.name)
        await operator.settle()
        assert world.of("Workload") == {}

    async def test_creates_no_second_workload_when_kueue_deletes_the_finished_one(self):
        world, operator = await in_training()
        world.complete(SERVER)
        await operator.settle()
        world.delete("Workload", WORKLOAD)
        await operator.settle()
        assert world.of("Workload") == {}


class TestSuspension:
    async def test_gives_the_quota_back_and_the_resumed_job_queues_again(self):
        world, operator = await in_training()
        world.report = None
        world.label(QUEUE, suspend=True)
        await operator.settle()
        assert (world.of("Workload"), world.of("Job")) == ({}, {})
        assert world.status["phase"] == "Suspended"
        world.label(QUEUE)
        await operator.settle()
        assert world.said("Ready")[1] == "WaitingForQuota"
        assert world.of("Job") == {}


class TestChangesOfTheJob:
    async def test_that_need_other_quota_queue_again_before_training(self):
        world, operator = await admitted()
        before = world.workload["metadata"]["uid"]
        limits = {"containers": [{"name": "server", "resources": {"limits": {"memory": "64Gi"}}}]}
        world.label(QUEUE, server={"template": {"spec": limits}})
        await operator.settle()
        assert world.workload["metadata"]["uid"] != before
        assert world.of("Job") == {}

    async def test_that_need_no_other_quota_keep_the_admission(self):
        world, operator = await admitted()
        before = world.workload["metadata"]["uid"]
        world.label(QUEUE, epochs=3)
        await operator.settle()
        assert world.workload["metadata"]["uid"] == before
        assert set(world.of("Job")) == CHILDREN

    async def test_leaving_the_queue_while_quota_is_reserved_starts_it_wherever_it_fits(self):
        world = QueuedWorld()
        operator = world.submit()
        await operator.settle()
        world.reserve()
        world.label({})
        await operator.settle()
        assert world.of("Workload") == {}
        assert set(world.of("Job")) == CHILDREN
        assert "nodeSelector" not in world.of("Job")[SERVER]["spec"]["template"]["spec"]

    async def test_leaving_the_queue_lets_it_run_without_quota(self):
        world, operator = await admitted()
        world.label({})
        await operator.settle()
        assert world.of("Workload") == {}
        assert set(world.of("Job")) == CHILDREN


async def test_a_workload_of_somebody_else_is_reported_and_not_touched():
    world = QueuedWorld()
    strange = {"kind": "Workload", "metadata": {"name": WORKLOAD, "namespace": "default"}, "spec": {"a": 1}}
    world.put(strange)
    await looks(world.submit())
    assert world.said("Degraded")[:2] == ("True", "NameTaken")
    assert world.workload["spec"] == {"a": 1}


async def test_a_job_whose_jobs_kueue_suspends_nevertheless_says_what_to_configure():
    world = QueuedWorld()
    operator = world.submit()
    await operator.settle()
    world.server.admission.append(_suspends)
    world.admit()
    await operator.settle()
    assert "integrations.externalFrameworks" in world.said("Ready")[2]


def _suspends(verb, kind, body):
    if (verb, kind.kind) == ("CREATE", "Job"):
        body["spec"]["suspend"] = True


async def test_without_the_setting_each_job_is_in_the_queue_by_itself():
    world = QueuedWorld()
    world.submit()
    await Operator(world, Settings()).settle()
    assert world.of("Workload") == {}
    assert all(job["spec"]["suspend"] for job in world.of("Job").values())
    assert world.said("Ready")[1] == "Queued"


async def test_a_job_in_no_queue_starts_at_once():
    world = QueuedWorld()
    await world.submit(labels={}).settle()
    assert world.of("Workload") == {}
    assert set(world.of("Job")) == CHILDREN
