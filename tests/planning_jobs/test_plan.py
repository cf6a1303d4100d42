from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from calls import calls_of
from manifests.jobs import NOW, clients, job, partition
from planning_jobs.statuses import complete, failed, in_training
from planning_jobs.world import World, carried_out, planned
from pslgs_operator import names
from pslgs_operator.actions import (
    Action,
    Apply,
    Create,
    Delete,
    DeleteTrainingJob,
    IssueClient,
    IssueServer,
)
from pslgs_operator.certificate_authority import AUTHORITY_LIFETIME, OVERLAP
from pslgs_operator.settings import Settings
from pslgs_operator.snapshot import ChildJobState, PodPhase
from pslgs_operator.status.types import JobStatus

NEW = JobStatus()
TWO_NODES = World(NOW).with_nodes("edge-0", "edge-1")
NO_TLS = {"transport": {"tls": "Disabled"}}


EVERY_CERTIFICATE = ["issue server", "issue edge-0-0", "issue edge-1-0"]


def at(world: World, age: timedelta) -> World:
    return replace(world, now=NOW + age)


def told(actions: tuple[Action, ...]) -> list[str]:
    """Each action in a word or two."""
    return [_told(action) for action in actions]


def _told(action: Action) -> str:
    match action:
        case Create(manifest) | Apply(manifest):
            return f"+{manifest['kind']}/{manifest['metadata']['name']}"
        case Delete(kind, name):
            return f"-{kind}/{name}"
        case IssueServer():
            return "issue server"
        case IssueClient(client=client):
            return f"issue {client}"
        case DeleteTrainingJob():
            return "-job"


def jobs_made(actions: tuple[Action, ...]) -> dict[str, Mapping[str, Any]]:
    manifests = [action.manifest for action in actions if isinstance(action, Create)]
    return {each["metadata"]["name"]: each for each in manifests if each["kind"] == "Job"}


def arguments(manifest: Mapping[str, Any]) -> list[str]:
    return manifest["spec"]["template"]["spec"]["containers"][0]["args"]


def test_fixtures_come_before_the_server_and_the_server_before_its_clients():
    wanted = job(checkpoint={"storage": {"size": "1Gi"}})
    assert told(planned(TWO_NODES, wanted, NEW)) == [
        "+ConfigMap/digits-manifest",
        "+Service/digits-server",
        "+NetworkPolicy/digits-server",
        "+NetworkPolicy/digits-clients",
        "+PersistentVolumeClaim/digits-checkpoints",
        "issue server",
        "+Job/digits-server",
        "issue edge-0-0",
        "+Job/digits-client-edge-0-0",
        "issue edge-1-0",
        "+Job/digits-client-edge-1-0",
    ]


def test_a_monitor_is_made_where_they_are_wanted():
    assert "+PodMonitor/digits" in told(planned(TWO_NODES, job(), NEW, Settings(pod_monitors=True)))


def test_without_tls_there_are_no_certificates():
    world = carried_out(TWO_NODES, job(**NO_TLS), NEW)
    assert world.certificates == {}
    assert world.authority is None


def test_the_server_waits_for_as_many_clients_as_there_are_when_it_is_made():
    made = jobs_made(planned(TWO_NODES, job(clients=clients(perNode=3)), NEW))
    assert "--clients=6" in arguments(made["digits-server"])


@pytest.mark.parametrize(
    ("wanted", "world"),
    [
        pytest.param(job(), World(NOW), id="no-node"),
        pytest.param(job(), World(NOW).with_nodes("gpu-0", zone="a"), id="no-node-that-matches"),
        pytest.param(job(data=partition(3)), TWO_NODES, id="fewer-clients-than-shares"),
        pytest.param(
            job(server={"service": {"type": "LoadBalancer"}}), TWO_NODES, id="no-load-balancer-address-yet"
        ),
        pytest.param(
            job(server={"service": {"type": "NodePort", "address": "h"}}), TWO_NODES, id="no-node-port-yet"
        ),
    ],
)
def test_nothing_starts_while_something_is_missing_but_fixtures_are_made(wanted, world):
    actions = planned(world, wanted, NEW)
    assert told(actions) == [
        "+ConfigMap/digits-manifest",
        "+Service/digits-server",
        "+NetworkPolicy/digits-server",
        "+NetworkPolicy/digits-clients",
    ]


@pytest.mark.parametrize(
    ("service", "world", "address"),
    [
        pytest.param({}, TWO_NODES, "digits-server.lab.svc:7443", id="within"),
        pytest.param({"address": "10.0.0.1"}, TWO_NODES, "10.0.0.1:7443", id="own-address"),
        pytest.param({"address": "fd00::1"}, TWO_NODES, "[fd00::1]:7443", id="own-address-ipv6"),
        pytest.param(
            {"type": "NodePort", "address": "fd00::1"}, TWO_NODES, "[fd00::1]:30123", id="node-port-ipv6"
        ),
        pytest.param(
            {"type": "NodePort", "address": "h.example"}, TWO_NODES, "h.example:30123", id="node-port"
        ),
        pytest.param(
            {"type": "LoadBalancer"},
            replace(TWO_NODES, load_balancer="fd00::5"),
            "[fd00::5]:7443",
            id="given",
        ),
        pytest.param(
            {"type": "LoadBalancer", "address": "h"}, TWO_NODES, "h:7443", id="load-balancer-of-a-name"
        ),
    ],
)
def test_clients_dial_the_address_of_the_service_which_is_in_the_certificate(service, world, address):
    wanted = job(server={"service": service})
    fixtures = planned(world, wanted, NEW)
    actions = (*fixtures, *planned(world.after(fixtures), wanted, NEW))
    issued = next(action for action in actions if isinstance(action, IssueServer))
    assert f"--server={address}" in arguments(jobs_made(actions)["digits-client-edge-0-0"])
    assert issued.hosts[:4] == (
        "digits-server.lab.svc.cluster.local",
        "digits-server.lab.svc",
        "digits-server.lab",
        "digits-server",
    )
    assert address.rpartition(":")[0].strip("[]") in issued.hosts


def test_the_certificate_has_the_name_of_the_service_in_the_domain_of_the_cluster():
    actions = planned(TWO_NODES, job(), NEW, Settings(cluster_domain="k8s.example.com"))
    issued = next(action for action in actions if isinstance(action, IssueServer))
    assert "digits-server.lab.svc.k8s.example.com" in issued.hosts
    assert not any("cluster.local" in host for host in issued.hosts)
    assert "--server=digits-server.lab.svc:7443" in arguments(jobs_made(actions)["digits-client-edge-0-0"])


@pytest.mark.parametrize(
    "which",
    [("ConfigMap", "digits-manifest"), ("Service", "digits-server"), ("NetworkPolicy", "digits-clients")],
    ids=lambda which: which[0],
)
def test_a_fixture_that_somebody_deleted_is_made_again(which):
    world = carried_out(TWO_NODES, job(), NEW)
    damaged = world.after([Delete(*which)])
    assert told(planned(damaged, job(), in_training())) == [f"+{which[0]}/{which[1]}"]


def test_a_client_job_that_somebody_deleted_is_made_again_once_its_pod_has_ended():
    damaged = carried_out(TWO_NODES, job(), NEW).after([Delete("Job", "digits-client-edge-0-0")])
    assert planned(damaged, job(), in_training()) == ()
    assert told(planned(damaged.settled(), job(), in_training())) == ["+Job/digits-client-edge-0-0"]


def test_a_server_is_not_made_while_a_pod_of_the_last_one_may_write_the_volume():
    damaged = carried_out(TWO_NODES, job(), NEW).after([Delete("Job", "digits-server")])
    assert planned(damaged, job(), in_training()) == ()
    assert told(planned(damaged.settled(), job(), in_training())) == ["+Job/digits-server"]


@pytest.mark.parametrize("phase", [PodPhase.UNKNOWN, PodPhase.PENDING, PodPhase.RUNNING], ids=str)
def test_a_pod_that_has_not_ended_counts_whatever_is_known_of_it(phase):
    world = carried_out(TWO_NODES, job(), NEW).after([Delete("Job", "digits-server")])
    pods = {name: replace(pod, phase=phase) for name, pod in world.pods.items()}
    assert planned(replace(world, pods=pods), job(), in_training()) == ()


def test_a_job_on_its_way_out_is_waited_for():
    world = carried_out(TWO_NODES, job(), NEW)
    jobs = {name: replace(child, deleting=True) for name, child in world.jobs.items()}
    going = replace(world, jobs=jobs)
    assert planned(going, job(), NEW) == ()
    assert planned(going, job(suspend=True), NEW) == ()
    assert planned(going, job(), failed()) == ()


class TestAChangeOfTheSpec:
    changed = job(evaluateEveryEpochs=2)

    def test_before_the_training_makes_fixtures_and_jobs_anew(self):
        world = carried_out(TWO_NODES, job(), NEW)
        assert told(planned(world, self.changed, NEW)) == [
            "+ConfigMap/digits-manifest",
            "+Service/digits-server",
            "+NetworkPolicy/digits-server",
            "+NetworkPolicy/digits-clients",
            "-Job/digits-server",
            "-Job/digits-client-edge-0-0",
            "-Job/digits-client-edge-1-0",
        ]
        anew = carried_out(world, self.changed, NEW)
        assert {child.spec_digest for child in anew.jobs.values()} == {self.changed.spec_digest}

    def test_during_the_training_leaves_jobs_alone(self):
        world = carried_out(TWO_NODES, job(), NEW)
        after = carried_out(world, self.changed, in_training())
        assert after.jobs == world.jobs
        manifest = after.objects["ConfigMap", "digits-manifest"]
        assert manifest["metadata"]["annotations"][names.SPEC_ANNOTATION] == self.changed.spec_digest

    def test_during_the_training_is_heeded_when_the_job_is_resumed(self):
        world = carried_out(TWO_NODES, job(), NEW)
        suspended = carried_out(world, job(suspend=True, evaluateEveryEpochs=2), in_training())
        resumed = carried_out(suspended, self.changed, in_training())
        assert {child.spec_digest for child in resumed.jobs.values()} == {self.changed.spec_digest}

    @pytest.mark.parametrize(
        "field",
        [
            {"suspend": False},
            {"activeDeadlineSeconds": 60},
            {"backoffLimit": 1},
            {"ttlSecondsAfterFinished": 60},
            {"loss": "CrossEntropy"},
        ],
        ids=str,
    )
    def test_of_what_no_child_is_made_from_changes_none(self, field):
        world = carried_out(TWO_NODES, job(), NEW)
        assert planned(world, job(**field), NEW) == ()

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            pytest.param({}, {"type": "NodePort", "address": "h"}, id="headless-to-node-port"),
            pytest.param({"type": "NodePort", "address": "h"}, {}, id="node-port-to-headless"),
        ],
    )
    def test_between_a_headless_service_and_another_replaces_it(self, before, after):
        world = carried_out(TWO_NODES, job(server={"service": before}), NEW)
        actions = told(planned(world, job(server={"service": after}), NEW))
        assert actions[1:3] == ["-Service/digits-server", "+Service/digits-server"]

    def test_between_services_with_an_address_keeps_it(self):
        world = carried_out(TWO_NODES, job(server={"service": {"type": "NodePort", "address": "h"}}), NEW)
        wanted = job(server={"service": {"type": "LoadBalancer", "address": "h"}})
        assert "-Service/digits-server" not in told(planned(world, wanted, NEW))


class TestNodes:
    def test_a_new_node_gets_a_client_while_the_training_goes_on(self):
        world = carried_out(TWO_NODES, job(), NEW).with_nodes("edge-2")
        assert told(planned(world, job(), in_training())) == ["issue edge-2-0", "+Job/digits-client-edge-2-0"]

    def test_a_node_that_is_gone_takes_its_client_and_the_clients_certificate_along(self):
        world = carried_out(TWO_NODES, job(), NEW).without_node("edge-1")
        assert told(planned(world, job(), in_training())) == [
            "-Job/digits-client-edge-1-0",
            "-Secret/digits-client-edge-1-0-tls",
        ]

    def test_a_node_that_lost_its_label_counts_as_gone(self):
        world = carried_out(TWO_NODES, job(), NEW).with_nodes("edge-1", zone="a")
        assert "-Job/digits-client-edge-1-0" in told(planned(world, job(), in_training()))

    def test_a_node_that_is_not_ready_keeps_its_client(self):
        world = carried_out(TWO_NODES, job(), NEW)
        silent = {name: replace(node, ready=False, unschedulable=True) for name, node in world.nodes.items()}
        assert planned(replace(world, nodes=silent), job(), in_training()) == ()

    @pytest.mark.parametrize("status", [complete(NOW), failed(NOW)], ids=["complete", "failed"])
    def test_none_gets_a_client_after_the_end(self, status):
        world = carried_out(TWO_NODES, job(), NEW).with_job_state("digits-server", ChildJobState.COMPLETE)
        jobs = {name: replace(child, state=ChildJobState.COMPLETE) for name, child in world.jobs.items()}
        assert (
            planned(replace(world, jobs=jobs).with_nodes("edge-2").without_node("edge-0"), job(), status)
            == ()
        )

    def test_none_gets_a_client_between_the_servers_end_and_its_report(self):
        world = carried_out(TWO_NODES, job(), NEW).with_job_state("digits-server", ChildJobState.COMPLETE)
        assert planned(world.with_nodes("edge-2"), job(), in_training()) == ()

    def test_a_client_that_failed_for_good_is_left_for_its_logs(self):
        world = carried_out(TWO_NODES, job(), NEW).with_job_state(
            "digits-client-edge-0-0", ChildJobState.FAILED
        )
        assert planned(world, job(), in_training()) == ()


class TestSuspension:
    def test_deletes_all_jobs_and_nothing_else(self):
        world = carried_out(TWO_NODES, job(), NEW)
        assert told(planned(world, job(suspend=True), in_training())) == [
            "-Job/digits-server",
            "-Job/digits-client-edge-0-0",
            "-Job/digits-client-edge-1-0",
        ]

    def test_from_the_beginning_makes_nothing(self):
        assert planned(TWO_NODES, job(suspend=True), NEW) == ()

    def test_is_over_only_when_the_old_pods_have_ended(self):
        world = carried_out(TWO_NODES, job(), NEW)
        suspended = world.after(planned(world, job(suspend=True), in_training()))
        assert planned(suspended, job(), in_training()) == ()
        resumed = carried_out(suspended.settled(), job(), in_training())
        assert resumed.jobs.keys() == world.jobs.keys()


class TestTheEnd:
    world = carried_out(TWO_NODES, job(), NEW)

    def test_of_a_failed_job_frees_what_still_runs_and_leaves_the_rest_for_its_logs(self):
        world = self.world.with_job_state("digits-server", ChildJobState.FAILED)
        assert told(planned(world, job(), failed())) == [
            "-Job/digits-client-edge-0-0",
            "-Job/digits-client-edge-1-0",
        ]

    def test_of_a_job_past_its_deadline_stops_the_server(self):
        assert told(planned(self.world, job(), failed()))[0] == "-Job/digits-server"

    def test_of_a_complete_job_gives_clients_a_minute_to_go(self):
        world = self.world.with_job_state("digits-server", ChildJobState.COMPLETE)
        assert planned(world.later(seconds=59), job(), complete(NOW)) == ()
        assert told(planned(world.later(seconds=60), job(), complete(NOW))) == [
            "-Job/digits-client-edge-0-0",
            "-Job/digits-client-edge-1-0",
        ]

    @pytest.mark.parametrize("status", [complete(NOW), failed(NOW)], ids=["complete", "failed"])
    def test_is_followed_by_the_deletion_of_the_job_after_its_time_to_live(self, status):
        wanted = job(ttlSecondsAfterFinished=30)
        assert DeleteTrainingJob() not in planned(self.world.later(seconds=29), wanted, status)
        assert planned(self.world.later(seconds=30), wanted, status) == (DeleteTrainingJob(),)

    @pytest.mark.parametrize("status", [complete(NOW), failed(NOW)], ids=["complete", "failed"])
    @pytest.mark.parametrize(
        "wanted", [job(), job(suspend=True), job(epochs=9)], ids=["same", "suspended", "other"]
    )
    def test_is_final_whatever_is_deleted_or_changed(self, status, wanted):
        assert planned(TWO_NODES, wanted, status) == ()


class TestCertificates:
    settings = Settings(certificate_lifetime=timedelta(days=30))
    world = carried_out(TWO_NODES, job(), NEW, settings)

    def test_are_renewed_in_their_last_third(self):
        assert planned(self.world.later(days=19, hours=23), job(), in_training(), self.settings) == ()
        actions = planned(self.world.later(days=20), job(), in_training(), self.settings)
        assert told(actions) == EVERY_CERTIFICATE
        renewed = self.world.later(days=20).after(actions)
        assert {each.renew_after for each in renewed.certificates.values()} == {NOW + timedelta(days=40)}
        assert planned(renewed, job(), in_training(), self.settings) == ()

    @pytest.mark.parametrize(
        ("name", "issued"),
        [("digits-server-tls", "issue server"), ("digits-client-edge-1-0-tls", "issue edge-1-0")],
        ids=["server", "client"],
    )
    @pytest.mark.parametrize(
        "damage",
        [
            pytest.param(None, id="deleted"),
            pytest.param({"complete": False}, id="edited"),
            pytest.param({"authority": "another"}, id="of-another-authority"),
            pytest.param({"renew_after": None}, id="without-annotations"),
        ],
    )
    def test_are_issued_anew_during_a_training_where_they_are_damaged(self, name, issued, damage):
        whole = self.world.certificates
        broken = self.world.without_certificate(name)
        if damage is not None:
            broken = replace(broken, certificates={**whole, name: replace(whole[name], **damage)})
        actions = planned(broken, job(), in_training(), self.settings)
        assert told(actions) == [issued]
        assert planned(broken.after(actions), job(), in_training(), self.settings) == ()

    @pytest.mark.parametrize("complete", [None, False], ids=["deleted", "edited"])
    def test_are_all_issued_anew_by_another_authority_where_theirs_is_lost(self, complete):
        authority = None if complete is None else replace(self.world.authority, complete=complete)
        lost = replace(self.world, authority=authority)
        actions = planned(lost, job(), in_training(), self.settings)
        assert told(actions) == EVERY_CERTIFICATE
        mended = lost.after(actions)
        assert mended.authority.authority != self.world.authority.authority
        assert planned(mended, job(), in_training(), self.settings) == ()

    def test_are_issued_anew_twice_when_the_authority_is_replaced(self):
        forever = Settings(certificate_lifetime=AUTHORITY_LIFETIME)
        world = carried_out(TWO_NODES, job(), NEW, forever)
        for due in (AUTHORITY_LIFETIME / 2, AUTHORITY_LIFETIME / 2 + OVERLAP):
            assert planned(at(world, due - timedelta(seconds=1)), job(), in_training(), forever) == ()
            actions = planned(at(world, due), job(), in_training(), forever)
            assert told(actions) == EVERY_CERTIFICATE
            world = at(world, due).after(actions)
            assert planned(world, job(), in_training(), forever) == ()

    def test_of_the_server_are_issued_anew_for_another_host(self):
        server = self.world.certificates["digits-server-tls"]
        moved = {**self.world.certificates, server.name: replace(server, hosts="elsewhere")}
        world = replace(self.world, certificates=moved)
        assert told(planned(world, job(), in_training(), self.settings)) == ["issue server"]

    def test_of_an_authority_in_the_namespace_of_the_job_are_replaced_and_it_is_deleted(self):
        old = {
            name: replace(each, authority="", renew_after=None)
            for name, each in self.world.certificates.items()
        }
        kept = {**old, "digits-ca": replace(old["digits-server-tls"], name="digits-ca")}
        world = replace(self.world, certificates=kept, authority=None)
        actions = planned(world, job(), in_training(), self.settings)
        assert told(actions) == ["-Secret/digits-ca", *EVERY_CERTIFICATE]
        assert planned(world.after(actions), job(), in_training(), self.settings) == ()

    def test_are_not_issued_where_nothing_runs(self):
        lost = replace(self.world, certificates={}, authority=None)
        assert planned(lost, job(), complete(NOW), self.settings) == ()
        suspended = replace(lost, jobs={}, pods={})
        assert planned(suspended, job(suspend=True), NEW, self.settings) == ()

    def test_are_not_renewed_for_what_is_over(self):
        world = self.world.later(days=20).with_job_state("digits-client-edge-0-0", ChildJobState.FAILED)
        assert "issue edge-0-0" not in told(planned(world, job(), in_training(), self.settings))

    @pytest.mark.parametrize(
        ("world", "wanted", "status"),
        [
            pytest.param(world.without_node("edge-1"), job(), in_training(), id="node-gone"),
            pytest.param(world, job(evaluateEveryEpochs=2), NEW, id="spec-changed"),
            pytest.param(
                replace(
                    world, jobs={name: replace(each, deleting=True) for name, each in world.jobs.items()}
                ),
                job(),
                in_training(),
                id="deleted",
            ),
        ],
    )
    def test_are_not_renewed_for_what_goes(self, world, wanted, status):
        told_of = told(planned(world.later(days=20), wanted, status, self.settings))
        assert "issue edge-1-0" not in told_of


@pytest.mark.slow
def test_the_work_of_a_plan_grows_with_the_clients_and_no_faster():
    def calls_for(clients: int) -> int:
        world = World(NOW).with_nodes(*(f"edge-{number:04}" for number in range(clients)))
        world = carried_out(world, job(), NEW)
        assert planned(world, job(), in_training()) == ()
        return calls_of(lambda: planned(world, job(), in_training()))

    assert calls_for(400) < 2.2 * calls_for(200)
