"""Whatever happens, and in whatever order, each plan brings the cluster nearer to what is wanted."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings as examples
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hypothesis_profiles import scaled
from manifests.jobs import NOW, UID, job, partition
from planning_jobs.statuses import complete, failed, in_training
from planning_jobs.world import World, carried_out, planned
from pslgs_operator.actions import Apply
from pslgs_operator.placement import place_clients
from pslgs_operator.snapshot import ChildJobState
from pslgs_operator.status.types import JobStatus

NODES = st.sampled_from([f"edge-{number}" for number in range(5)])
SPECS: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {},
        {"evaluateEveryEpochs": 2},
        {"data": partition(3)},
        {"clients": {"nodeSelector": {"pslgs.dev/edge": "true"}, "perNode": 2}},
        {"server": {"service": {"type": "NodePort", "address": "h"}}},
        {"server": {"service": {"type": "LoadBalancer"}}},
        {"checkpoint": {"storage": {"size": "1Gi"}}},
    ]
)


class History(RuleBasedStateMachine):
    """A job's life; the world itself refuses a second pod of one Job and the change of a template."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(NOW)
        self.spec: dict[str, Any] = {}
        self.suspended = False
        self.status = JobStatus()
        self.shares: dict[str, int] = {}

    @property
    def job(self):
        return replace(job(**self.spec, suspend=self.suspended), status=self.status)

    @rule(node=NODES, label=st.sampled_from(["true", "false"]))
    def a_node_comes_or_is_relabelled(self, node, label):
        self.world = self.world.with_nodes(node, **{"pslgs.dev/edge": label})

    @rule(node=NODES)
    def a_node_goes(self, node):
        self.world = self.world.without_node(node)

    @rule()
    def a_load_balancer_gets_its_address(self):
        self.world = replace(self.world, load_balancer="10.1.2.3")

    @rule(which=st.integers(0, 20))
    def somebody_deletes_a_job(self, which):
        for name in sorted(self.world.jobs)[which : which + 1]:
            self.world = self.world.without_job(name)

    @rule(which=st.integers(0, 20))
    def somebody_deletes_a_fixture(self, which):
        for kind, name in sorted(self.world.objects)[which : which + 1]:
            self.world = self.world.without_object(kind, name)

    @rule(which=st.integers(0, 20))
    def a_client_fails_for_good(self, which):
        jobs = sorted(name for name, child in self.world.jobs.items() if child.client is not None)
        for name in jobs[which : which + 1]:
            self.world = self.world.with_job_state(name, ChildJobState.FAILED)

    @precondition(lambda self: self.status.training_start_time is None)
    @rule(spec=SPECS)
    def somebody_edits_the_spec(self, spec):
        self.spec = spec

    @rule(suspended=st.booleans())
    def somebody_suspends_or_resumes(self, suspended):
        self.suspended = suspended

    @precondition(lambda self: "digits-server" in self.world.jobs and not self.status.finished)
    @rule()
    def the_training_begins(self):
        self.status = in_training()

    @precondition(lambda self: self.status.training_start_time is not None)
    @rule(status=st.sampled_from([complete(NOW), failed(NOW)]))
    def the_training_ends(self, status):
        self.status = status

    @rule(days=st.integers(1, 200))
    def time_passes(self, days):
        self.world = self.world.later(days=days)

    @rule()
    def pods_end_and_begin(self):
        self.world = self.world.settled()

    @rule()
    def the_operator_looks(self):
        actions = planned(self.world, self.job, self.status)
        if self.status.finished or self.suspended:
            assert not any(isinstance(action, Apply) for action in actions)
        for action in actions:
            if isinstance(action, Apply):
                assert [owner["uid"] for owner in action.manifest["metadata"]["ownerReferences"]] == [UID]
        self.world = self.world.after(actions)

    @invariant()
    def shares_are_unique_and_stay(self):
        snapshot = self.world.snapshot()
        placements = place_clients(self.job, snapshot).clients
        shares = {each.client: each.share for each in placements if each.share is not None}
        assert len(set(shares.values())) == len(shares)
        for client, share in shares.items():
            held = snapshot.clients[client].share if client in snapshot.clients else None
            assert held in {None, share}

    @invariant()
    def planning_comes_to_an_end(self):
        end = carried_out(self.world, self.job, self.status)
        assert planned(end, self.job, self.status) == ()
        if self.suspended and not self.status.finished:
            assert end.jobs == {}


TestHistory = pytest.mark.slow(History.TestCase)
TestHistory.settings = examples(max_examples=scaled(60), stateful_step_count=25, deadline=None)
