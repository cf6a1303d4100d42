"""Who takes part: the clients of each node that the job selects, and their shares of a partition."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pslgs_operator import names
from pslgs_operator.quota import places_of_clients
from pslgs_operator.snapshot import ChildJob, Problem, Snapshot
from pslgs_operator.training_job import TrainingJob


@dataclass(frozen=True, slots=True)
class Placement:
    """One client of a job: its id, its node, and its number in a partition if there is one."""

    client: str
    node: str
    share: int | None


@dataclass(frozen=True, slots=True)
class Placements:
    """All clients that a job should have now.

    Attributes:
        problem: Why the job cannot start with them (NoMatchingNodes, PartitionMismatch); None if it can, or
            if its training has begun and goes on with those that are left.
        waiting: Number of clients on matching nodes that the admitted Workload has no place for.
    """

    clients: tuple[Placement, ...]
    problem: Problem | None = None
    waiting: int = 0


def place_clients(job: TrainingJob, snapshot: Snapshot) -> Placements:
    """Place ``perNode`` clients on each matching node, in order of the nodes' names.

    With a partition of one dataset, each client gets a share: the one that its Job has, or the lowest that
    is free; there are as many clients as shares, and fewer nodes than that are a problem.
    """
    candidates = tuple(_candidates(job, snapshot))
    if not candidates:
        return Placements((), _no_matching_nodes(job))
    clients = _with_places(candidates, snapshot)
    partition = job.spec.data.partition
    if partition is None:
        return Placements(clients, waiting=len(candidates) - len(clients))
    placed = tuple(_with_shares(clients, snapshot.clients, partition.clients))
    short = len(placed) < partition.clients
    begun = snapshot.server is not None or job.status.training_start_time is not None
    return Placements(placed, _partition_mismatch(job, len(placed)) if short and not begun else None)


def selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Return whether a node with ``labels`` is meant; an empty selector selects none."""
    return bool(selector) and selector.items() <= labels.items()


def _candidates(job: TrainingJob, snapshot: Snapshot) -> Iterator[Placement]:
    wanted = job.spec.clients
    chosen = (node.name for node in snapshot.nodes if selects(wanted.node_selector, node.labels))
    for node in sorted(chosen):
        for number in range(wanted.per_node):
            yield Placement(names.client_id(node, number), node, None)


def _with_places(clients: tuple[Placement, ...], snapshot: Snapshot) -> tuple[Placement, ...]:
    """Leave out clients that quota is not reserved for; those that have a Job stay."""
    places = places_of_clients(snapshot)
    if places is None or len(clients) <= places:
        return clients
    first = sorted(clients, key=lambda each: each.client not in snapshot.clients)[:places]
    return tuple(each for each in clients if each in first)


def _with_shares(
    clients: Sequence[Placement], jobs: Mapping[str, ChildJob], shares: int
) -> Iterator[Placement]:
    """Deal out the shares; those that have one go before those that come."""
    kept: dict[int, str] = {}
    for each in clients:
        share = jobs[each.client].share if each.client in jobs else None
        if share is not None and share < shares:
            kept.setdefault(share, each.client)
    holders = {client: share for share, client in kept.items()}
    free = iter(share for share in range(shares) if share not in kept)
    for each in clients:
        share = holders.get(each.client)
        if share is None:
            share = next(free, None)
        if share is not None:
            yield replace(each, share=share)


def _no_matching_nodes(job: TrainingJob) -> Problem:
    labels = ",".join(f"{name}={value}" for name, value in sorted(job.spec.clients.node_selector.items()))
    if not labels:
        return Problem(
            "NoMatchingNodes",
            "spec.clients.nodeSelector is empty; name the labels of the nodes that hold data",
        )
    return Problem(
        "NoMatchingNodes",
        f"no node has the labels {labels} of spec.clients.nodeSelector; label the nodes that hold data: "
        f"kubectl label node NAME {labels.replace(',', ' ')}",
    )


def _partition_mismatch(job: TrainingJob, clients: int) -> Problem:
    per_node = job.spec.clients.per_node
    nodes, partition = clients // per_node, job.spec.data.partition
    wanted = partition.clients if partition else 0
    return Problem(
        "PartitionMismatch",
        f"spec.data.partition.clients is {wanted}, but {nodes} node{'s' * (nodes != 1)} with "
        f"spec.clients.perNode {per_node} make{'s' * (nodes == 1)} {clients} client{'s' * (clients != 1)}; "
        f"set spec.data.partition.clients to {clients}, raise spec.clients.perNode, or label more nodes",
    )
