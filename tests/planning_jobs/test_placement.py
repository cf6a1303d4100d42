import pytest

from manifests.jobs import NOW, clients, job, partition
from planning_jobs.statuses import in_training
from planning_jobs.world import World, carried_out
from pslgs_operator.placement import place_clients
from pslgs_operator.status.types import JobStatus
from pslgs_operator.training_job import TrainingJob

TWO_NODES = World(NOW).with_nodes("edge-1", "edge-0").with_nodes("gpu-0", zone="a")


def placed(world: World, wanted: TrainingJob) -> list[tuple[str, int | None]]:
    return [(each.client, each.share) for each in place_clients(wanted, world.snapshot()).clients]


def problem(world: World, wanted: TrainingJob) -> str:
    found = place_clients(wanted, world.snapshot()).problem
    return f"{found.reason}: {found.message}" if found else ""


def test_each_matching_node_gets_its_clients_in_order_of_the_nodes_names():
    assert placed(TWO_NODES, job(clients=clients(perNode=2))) == [
        ("edge-0-0", None),
        ("edge-0-1", None),
        ("edge-1-0", None),
        ("edge-1-1", None),
    ]


def test_all_labels_of_the_selector_count():
    wanted = job(clients={"nodeSelector": {"zone": "a", "pslgs.dev/edge": "true"}})
    both = TWO_NODES.with_nodes("edge-2", **{"zone": "a", "pslgs.dev/edge": "true"})
    assert placed(both, wanted) == [("edge-2-0", None)]


def test_no_matching_node_is_told_with_the_labels_and_the_command():
    wanted = job(clients={"nodeSelector": {"site": "x", "pslgs.dev/edge": "true"}})
    assert problem(TWO_NODES, wanted) == (
        "NoMatchingNodes: no node has the labels pslgs.dev/edge=true,site=x of spec.clients.nodeSelector; "
        "label the nodes that hold data: kubectl label node NAME pslgs.dev/edge=true site=x"
    )


def test_an_empty_selector_means_no_node():
    wanted = job(clients={})
    assert placed(TWO_NODES, wanted) == []
    assert problem(TWO_NODES, wanted).startswith("NoMatchingNodes: spec.clients.nodeSelector is empty")


class TestShares:
    def test_are_dealt_out_from_the_lowest(self):
        assert placed(TWO_NODES, job(data=partition(2))) == [("edge-0-0", 0), ("edge-1-0", 1)]

    def test_are_at_most_as_many_as_the_partition_has(self):
        assert placed(TWO_NODES, job(data=partition(1))) == [("edge-0-0", 0)]

    def test_stay_with_those_who_have_them(self):
        wanted = job(data=partition(2))
        world = carried_out(TWO_NODES, wanted, JobStatus()).with_nodes("edge-")
        assert placed(world, wanted) == [("edge-0-0", 0), ("edge-1-0", 1)]

    def test_of_one_that_is_gone_go_to_one_that_comes(self):
        wanted = job(data=partition(2))
        world = carried_out(TWO_NODES, wanted, JobStatus()).without_node("edge-0").with_nodes("edge-7")
        assert placed(world, wanted) == [("edge-1-0", 1), ("edge-7-0", 0)]

    def test_too_high_for_a_smaller_partition_are_dealt_out_anew(self):
        world = carried_out(TWO_NODES, job(data=partition(2)), JobStatus()).without_node("edge-0")
        assert placed(world, job(data=partition(1))) == [("edge-1-0", 0)]


class TestAPartitionOfMoreClientsThanThereAre:
    @pytest.mark.parametrize(
        ("world", "wanted", "words"),
        [
            pytest.param(
                TWO_NODES,
                job(data=partition(16)),
                "is 16, but 2 nodes with spec.clients.perNode 1 make 2 clients; "
                "set spec.data.partition.clients to 2",
                id="two-nodes",
            ),
            pytest.param(
                TWO_NODES.without_node("edge-0"),
                job(data=partition(3), clients=clients(perNode=2)),
                "is 3, but 1 node with spec.clients.perNode 2 makes 2 clients;",
                id="one-node",
            ),
            pytest.param(
                TWO_NODES.without_node("edge-0"),
                job(data=partition(2)),
                "is 2, but 1 node with spec.clients.perNode 1 makes 1 client;",
                id="one-client",
            ),
        ],
    )
    def test_is_a_problem(self, world, wanted, words):
        assert problem(world, wanted).startswith("PartitionMismatch: spec.data.partition.clients " + words)

    def test_is_none_any_more_once_the_server_is_there(self):
        wanted = job(data=partition(2))
        assert problem(carried_out(TWO_NODES, wanted, JobStatus()).without_node("edge-0"), wanted) == ""

    def test_is_none_for_a_training_that_goes_on_after_a_pause(self):
        wanted = job(data=partition(2), status=in_training())
        assert problem(TWO_NODES.without_node("edge-0"), wanted) == ""
