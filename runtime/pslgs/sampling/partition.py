"""Partitions of one common dataset among clients, for experiments on skewed data."""

import numpy as np
from numpy.typing import NDArray

from pslgs.spec.errors import InputError
from pslgs.spec.partition import Partition, PartitionScheme

FIELD = "spec.data.partition"


def share_names(clients: int) -> list[str]:
    """Return names for the clients of a partition, zero-padded so that sorting keeps their order."""
    width = len(str(clients - 1))
    return [f"client-{number:0{width}}" for number in range(clients)]


def partition(
    scheme: Partition, labels: NDArray[np.int64] | NDArray[np.float32], rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Divide samples among clients by the scheme of the manifest.

    Args:
        scheme: The scheme and its settings.
        labels: The label of each sample: classes, or targets; shape (samples,) or (samples, targets).
        rng: Random number generator.

    Returns:
        The ascending sample indices of each client; every sample belongs to exactly one client.

    Raises:
        InputError: ExtendedDirichlet and the labels are not classes, or classesPerClient does not fit
            the number of classes and clients.
    """
    if scheme.scheme is PartitionScheme.IID:
        return partition_iid(len(labels), scheme.clients, rng)
    numbers = _class_numbers(labels)
    if numbers is None:
        raise InputError.at(
            f"{FIELD}.scheme", "is ExtendedDirichlet, which needs classes as labels; choose IID"
        )
    classes = len(np.unique(numbers))
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
        numbers, scheme.clients, scheme.classes_per_client, scheme.concentration, rng
    )


def _class_numbers(labels: NDArray[np.int64] | NDArray[np.float32]) -> NDArray[np.int64] | None:
    """Return labels as class numbers, which may be stored as floats or one-hot rows; None if they are not."""
    if labels.ndim == 2:
        is_one_hot = ((labels == 0) | (labels == 1)).all() and (labels.sum(axis=1) == 1).all()
        return labels.argmax(axis=1) if is_one_hot else None
    if np.issubdtype(labels.dtype, np.integer) or (labels == labels.round()).all():
        return labels.astype(np.int64)
    return None


def partition_iid(samples: int, clients: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Divide ``samples`` indices among ``clients`` uniformly at random; sizes differ by at most one.

    Returns:
        The ascending sample indices of each client; every sample belongs to exactly one client.

    Raises:
        ValueError: the number of clients is below 1.
    """
    if clients < 1:
        raise ValueError(f"the number of clients is {clients}, must be at least 1")
    shuffled = rng.permutation(samples).astype(np.int64, copy=False)
    return [np.sort(share) for share in np.array_split(shuffled, clients)]


def partition_extended_dirichlet(
    labels: NDArray[np.int64],
    clients: int,
    classes_per_client: int,
    concentration: float,
    rng: np.random.Generator,
) -> list[NDArray[np.int64]]:
    """Divide samples so that clients differ in their classes and in the amount of each (arXiv 2302.01633).

    `hold_classes` chooses C classes for every client.  Then, for each class c, q_c ~ Dirichlet(α) is drawn
    over the clients that hold c, and every sample of c is assigned to a client drawn from q_c.  A client may
    get no samples.  If K·C < M, the samples of classes without a client are not assigned.

    Args:
        labels: The class of each sample; M distinct classes occur; shape (samples,).
        clients: K, number of clients.
        classes_per_client: C, number of classes that each client holds, at most M.
        concentration: α of the Dirichlet distribution, positive; smaller values make parts more unequal.
        rng: Random number generator.

    Returns:
        The ascending sample indices of each client; no sample belongs to two clients.

    Raises:
        ValueError: an argument is out of its range.
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

    usage_c is the number of previous clients that hold class c.  These probabilities alone sometimes leave
    a class without a client although K·C ≥ M.  Therefore, when the number of remaining choices equals the
    number of classes without a client, the choices are made among those classes.

    Args:
        clients: K, number of clients.
        classes: M, number of classes.
        per_client: C, number of classes that each client holds.
        rng: Random number generator.

    Returns:
        Whether a client holds a class; shape (clients, classes), each row sums to C.

    Raises:
        ValueError: C is below 1 or above M.
    """
    if not 1 <= per_client <= classes:
        raise ValueError(f"the number of classes per client is {per_client}, must be between 1 and {classes}")
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
    # Subtracting the minimum does not change the probabilities, and prevents underflow at high usage.
    above_least = (usage - usage[free].min()).clip(0)
    weights = np.where(free, np.exp(-len(usage) * above_least), 0.0)
    return int(rng.choice(len(usage), p=weights / weights.sum()))
