"""Partitions of one common dataset over clients, for experiments on skewed data."""

import numpy as np
from numpy.typing import NDArray

from pslgs.spec.data import Partition, PartitionScheme
from pslgs.spec.errors import InputError

FIELD = "spec.data.partition"


def share_names(clients: int) -> list[str]:
    """Name the clients of a partition that are all on one machine, so that sorting keeps their order."""
    width = len(str(clients - 1))
    return [f"client-{number:0{width}}" for number in range(clients)]


def partition(
    scheme: Partition, labels: NDArray[np.int64] | NDArray[np.float32], rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Split the samples that have ``labels`` as the manifest's ``scheme`` says.

    Returns:
        The ascending sample indices of each client, disjoint; together they are all samples.

    Raises:
        InputError: there are no classes to split by, or too few or too many of them.
    """
    if scheme.scheme is PartitionScheme.IID:
        return partition_iid(len(labels), scheme.clients, rng)
    if not np.issubdtype(labels.dtype, np.integer):
        raise InputError.at(
            f"{FIELD}.scheme", "is ExtendedDirichlet, which needs classes as labels; choose IID"
        )
    classes = len(np.unique(labels))
    if scheme.classes_per_client > classes:
        raise InputError.at(
            f"{FIELD}.classesPerClient",
            f"is {scheme.classes_per_client}, but the dataset has only {classes} classes; lower it",
        )
    if scheme.clients * scheme.classes_per_client < classes:
        needed = -(-classes // scheme.clients)
        raise InputError.at(
            f"{FIELD}.classesPerClient",
            f"is {scheme.classes_per_client}, so {scheme.clients} clients cannot hold all {classes} classes; "
            f"choose at least {needed} or more clients",
        )
    return partition_extended_dirichlet(
        labels.astype(np.int64), scheme.clients, scheme.classes_per_client, scheme.concentration, rng
    )


def partition_iid(samples: int, clients: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Deal ``samples`` shuffled indices to ``clients``; sizes differ by at most one.

    Raises:
        ValueError: there are no clients.
    """
    if clients < 1:
        raise ValueError(f"a partition over {clients} clients, must be at least 1")
    shuffled = rng.permutation(samples).astype(np.int64, copy=False)
    return [np.sort(share) for share in np.array_split(shuffled, clients)]


def partition_extended_dirichlet(
    labels: NDArray[np.int64],
    clients: int,
    classes_per_client: int,
    concentration: float,
    rng: np.random.Generator,
) -> list[NDArray[np.int64]]:
    """Skew both which classes a client holds and how much of each (arXiv 2302.01633).

    `hold_classes` chooses C classes for every client.  Then, for each class c, q_c ~ Dirichlet(α) over the
    clients that hold it, and every sample of c goes to a client drawn from q_c.  A client may end up
    with no samples.  Where K·C < M, the samples of classes that nobody holds belong to no client.

    Args:
        labels: The class of each sample; M classes occur; shape (samples,).
        clients: K.
        classes_per_client: C, at most M.
        concentration: α of the Dirichlet distribution, positive; small values skew more.
        rng: Source of all draws.

    Returns:
        Ascending sample indices of each client, disjoint.

    Raises:
        ValueError: a number is out of its range.
    """
    if clients < 1 or concentration <= 0:
        raise ValueError(f"{clients} clients and concentration {concentration}: both must be positive")
    classes, class_of = np.unique(labels, return_inverse=True)
    holds = hold_classes(clients, len(classes), classes_per_client, rng)
    owner = np.full(len(labels), -1, dtype=np.int64)
    for c in range(len(classes)):
        holders = np.flatnonzero(holds[:, c])
        if len(holders) == 0:
            continue
        members = np.flatnonzero(class_of == c)
        q = rng.dirichlet(np.full(len(holders), concentration))
        owner[members] = rng.choice(holders, size=len(members), p=q)
    return [np.flatnonzero(owner == k) for k in range(clients)]


def hold_classes(clients: int, classes: int, per_client: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Choose C distinct classes for each client in turn, with probability ∝ exp(−M·usage_c).

    usage_c counts the clients that were given class c before.  That alone leaves a class out now and
    then although K·C ≥ M; so where only as many choices are left as classes without a holder, they
    are made among those classes.

    Returns:
        Whether a client holds a class; shape (clients, classes), each row sums to C.

    Raises:
        ValueError: C is below 1 or above the number of classes.
    """
    if not 1 <= per_client <= classes:
        raise ValueError(f"{per_client} classes per client of {classes}, must be between 1 and all")
    holds = np.zeros((clients, classes), dtype=np.bool_)
    usage = np.zeros(classes, dtype=np.int64)
    for client in range(clients):
        for chosen in range(per_client):
            choices_left = (clients - client) * per_client - chosen
            free = ~holds[client]
            unheld = free & (usage == 0)
            if choices_left <= np.count_nonzero(unheld) and clients * per_client >= classes:
                free = unheld
            holds[client, _choose(usage, free, rng)] = True
        usage += holds[client]
    return holds


def _choose(usage: NDArray[np.int64], free: NDArray[np.bool_], rng: np.random.Generator) -> int:
    above_least = (usage - usage[free].min()).clip(0)  # the same law, without underflow at high usage
    weights = np.where(free, np.exp(-len(usage) * above_least), 0.0)
    return int(rng.choice(len(usage), p=weights / weights.sum()))
