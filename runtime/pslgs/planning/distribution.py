"""Who holds how many samples of which class: from the job's own data, or assumed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pslgs.data.local import LocalDataset
from pslgs.sampling.partition import partition
from pslgs.sampling.randomness import Purpose, generator
from pslgs.spec.errors import InputError
from pslgs.spec.job import JobSpec
from pslgs.training.objective import Objective

OPTION = "--dataset-sizes"


@dataclass(frozen=True, slots=True, eq=False)
class Distribution:
    """What the clients hold.

    Attributes:
        sizes: N_k; shape (clients,).
        label_counts: Samples of each class; shape (clients, classes).  None where there are no classes.
        origin: Where the figures come from, in words.
    """

    sizes: NDArray[np.int64]
    label_counts: NDArray[np.int64] | None
    origin: str

    @property
    def samples(self) -> int:
        """N, of all clients."""
        return int(self.sizes.sum())


def counted(datasets: Sequence[LocalDataset], objective: Objective) -> Distribution:
    """Count the labels of the job's own datasets, one for each client."""
    sizes = np.array([data.samples for data in datasets], dtype=np.int64)
    counts = None
    if objective.classes is not None:
        labels = [objective.as_labels(torch.from_numpy(data.labels)) for data in datasets]
        counts = np.array([objective.class_counts(each) for each in labels], dtype=np.int64)
    return Distribution(sizes, counts, "the job's own data")


def assumed(spec: JobSpec, sizes: Sequence[int], clients: int | None, classes: int | None) -> Distribution:
    """Assume balanced classes for ``sizes``, one for each client.

    A single size is that of the common dataset which the job's partition deals out, or of each client.

    Args:
        spec: The job.
        sizes: As given by the user.
        clients: How many there are, where the user said so.
        classes: M; None where labels are no classes.

    Raises:
        InputError: the sizes do not go with the number of clients, or nobody holds a sample.
    """
    if sum(sizes) < 1:
        raise InputError.at(OPTION, "gives no samples; give each client's number of samples")
    expected = spec.data.partition.clients if spec.data.partition else clients
    if len(sizes) == 1 and spec.data.partition is not None:
        return _dealt_out(spec, sizes[0], classes)
    if len(sizes) == 1 and expected is not None:
        sizes = [sizes[0]] * expected
    if expected is not None and len(sizes) != expected:
        raise InputError.at(
            OPTION, f"gives {len(sizes)} sizes, but there are {expected} clients; give one size or {expected}"
        )
    counts = None if classes is None else np.array([_balanced(size, classes) for size in sizes])
    words = (
        "the sizes given" if classes is None else "the sizes given, with equally many samples of each class"
    )
    return Distribution(np.array(sizes, dtype=np.int64), counts, words)


def _dealt_out(spec: JobSpec, samples: int, classes: int | None) -> Distribution:
    if spec.data.partition is None:
        raise ValueError("there is no partition")
    labels = np.arange(samples, dtype=np.int64) % (classes or 1)
    shares = partition(spec.data.partition, labels, generator(spec.sampling.seed, Purpose.PARTITION))
    sizes = np.array([len(share) for share in shares], dtype=np.int64)
    counts = None
    if classes is not None:
        counts = np.array([np.bincount(labels[share], minlength=classes) for share in shares])
    words = f"{samples:,} samples of balanced classes, dealt out by {spec.data.partition.scheme}"
    return Distribution(sizes, counts, words)


def _balanced(samples: int, classes: int) -> NDArray[np.int64]:
    return samples // classes + (np.arange(classes) < samples % classes).astype(np.int64)
