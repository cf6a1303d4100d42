"""What a plan is about: the job's network, whole and cut, and who holds which data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pslgs.costs.time_model import Link
from pslgs.data.client_dataset import ClientDataset
from pslgs.data.loading import TRAINING
from pslgs.sampling.partition import partition
from pslgs.sampling.randomness import Purpose, generator
from pslgs.sampling.schedule_statistics import DataDistribution
from pslgs.spec.data import Transform
from pslgs.spec.errors import InputError
from pslgs.spec.job import JobSpec
from pslgs.splitting.architectures import build_model
from pslgs.splitting.layout import INPUT_SHAPE
from pslgs.splitting.split_network import SplitNetwork
from pslgs.training.dataset_check import check_dataset
from pslgs.training.objective import Objective
from pslgs.training.profile import NetworkProfile, profile_network
from pslgs.training.setup import TrainingSetup, build_setup

OPTION = "--dataset-sizes"


def counted(datasets: Sequence[ClientDataset], objective: Objective) -> DataDistribution:
    """Count the labels of the job's own datasets, one for each client."""
    sizes = np.array([data.samples for data in datasets], dtype=np.int64)
    counts = None
    if objective.classes is not None:
        labels = [objective.as_labels(torch.from_numpy(data.labels)) for data in datasets]
        counts = np.array([objective.class_counts(each) for each in labels], dtype=np.int64)
    return DataDistribution(sizes, counts, "the job's own data")


def assumed(
    spec: JobSpec, sizes: Sequence[int], clients: int | None, classes: int | None
) -> DataDistribution:
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
    return DataDistribution(np.array(sizes, dtype=np.int64), counts, words)


def _dealt_out(spec: JobSpec, samples: int, classes: int | None) -> DataDistribution:
    if spec.data.partition is None:
        raise ValueError("there is no partition")
    labels = np.arange(samples, dtype=np.int64) % (classes or 1)
    shares = partition(spec.data.partition, labels, generator(spec.sampling.seed, Purpose.PARTITION))
    sizes = np.array([len(share) for share in shares], dtype=np.int64)
    counts = None
    if classes is not None:
        counts = np.array([np.bincount(labels[share], minlength=classes) for share in shares])
    words = f"{samples:,} samples of balanced classes, dealt out by {spec.data.partition.scheme}"
    return DataDistribution(sizes, counts, words)


def _balanced(samples: int, classes: int) -> NDArray[np.int64]:
    return samples // classes + (np.arange(classes) < samples % classes).astype(np.int64)


_SIZED: Final = {"RandomCrop", "CenterCrop", "RandomResizedCrop", "Resize"}


def guessed_input_shape(network: nn.Module, transforms: Sequence[Transform]) -> tuple[int, ...] | None:
    """Read the shape off the network's first layer with weights and the transforms' last size.

    None where they do not tell it.
    """
    first = next((layer for layer in network.modules() if isinstance(layer, nn.Linear | nn.Conv2d)), None)
    match first:
        case nn.Linear():
            return (first.in_features,)
        case nn.Conv2d():
            size = next((each for each in map(_size, reversed(transforms)) if each), None)
            return (first.in_channels, *size) if size else None
        case _:
            return None


def _size(transform: Transform) -> tuple[int, int] | None:
    size = transform.arguments.get("size") if transform.name in _SIZED else None
    match size:
        case int():
            return (size, size)
        case [int(side)]:
            return (side, side)
        case [int(height), int(width)]:
            return (height, width)
        case _:
            return None


ASSUMED_SAMPLES: Final = 1000
"""Of each client, where neither data nor sizes are given."""


@dataclass(frozen=True, slots=True)
class Environment:
    """What is known of the world in which the job will run.

    Attributes:
        link: Of each client.
        client_memory: Bytes that a client has; None where that is unknown.
        client_flops: Floating-point operations per second of a client; None to measure this machine's.
        server_flops: Likewise of the server.
        dataset_sizes: Samples of each client, or one number; they take precedence over data.
        clients: How many, where neither data nor a partition nor sizes tell.
        all_cuts: Whether to look at every layer instead of some.
    """

    link: Link
    client_memory: int | None = None
    client_flops: float | None = None
    server_flops: float | None = None
    dataset_sizes: tuple[int, ...] = ()
    clients: int | None = None
    all_cuts: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class AvailableData:
    """The clients' data, as far as they can be read here.

    Attributes:
        datasets: One for each client; empty where they cannot be read.
        obstacle: Why they cannot, in words.
    """

    datasets: Sequence[ClientDataset] = ()
    obstacle: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class PlannedJob:
    """A job, looked at closely.

    Attributes:
        spec: What it says.
        model: The whole network on the meta device; None where its builder returns the two parts.
        task: The loss, and what crosses the cut that the job says.
        network: The network, cut there.
        anatomy: Of the cut network.
        distribution: Who holds what.
        input_shape_from: Where the shape of a sample comes from, in words.
    """

    spec: JobSpec
    model: nn.Module | None
    task: TrainingSetup
    network: SplitNetwork
    anatomy: NetworkProfile
    distribution: DataDistribution
    input_shape_from: str


def examine(spec: JobSpec, outlook: Environment, data: AvailableData) -> PlannedJob:
    """Build and cut the network, try it, and count or assume what the clients hold.

    Raises:
        InputError: the job cannot be run as it is, or too little is known of its clients and their data.
    """
    built = build_model(spec.model.architecture, spec.model.options, spec.sampling.seed)
    shape, origin = _input_shape(spec, data, built[0] if isinstance(built, tuple) else built)
    task, network = build_setup(spec, shape)
    for dataset in data.datasets:
        check_dataset(task, dataset, TRAINING)
    return PlannedJob(
        spec,
        None if isinstance(built, tuple) else built.to(torch.device("meta")),
        task,
        network,
        profile_network(network, shape),
        _distribution(spec, outlook, data, task),
        origin,
    )


def _input_shape(spec: JobSpec, data: AvailableData, network: nn.Module) -> tuple[tuple[int, ...], str]:
    if spec.model.input_shape is not None:
        return spec.model.input_shape, INPUT_SHAPE
    if data.datasets:
        return data.datasets[0].input_shape, "the job's own data"
    guess = guessed_input_shape(network, spec.data.transforms)
    if guess is None:
        reason = f" ({data.obstacle})" if data.obstacle else ""
        example = f"--set '{INPUT_SHAPE}=[3, 224, 224]'"
        raise InputError.at(
            INPUT_SHAPE, f"is missing, and no data tell it here{reason}; give it, e.g. {example}"
        )
    return guess, "a guess from the network's first layer and the transforms"


def _distribution(
    spec: JobSpec, outlook: Environment, data: AvailableData, task: TrainingSetup
) -> DataDistribution:
    classes = task.objective.classes
    if outlook.dataset_sizes:
        return assumed(spec, outlook.dataset_sizes, outlook.clients, classes)
    if data.datasets:
        held = counted(data.datasets, task.objective)
        if held.samples:
            return held
        raise InputError.at(TRAINING, "gives no client a sample; check that the path leads to the data")
    clients = spec.data.partition.clients if spec.data.partition else outlook.clients
    if clients is None:
        raise InputError.at(
            TRAINING,
            f"cannot be read here ({data.obstacle}), so that the number of clients is unknown; "
            f"give --clients or {OPTION}",
        )
    common = spec.data.partition is not None
    sizes = (ASSUMED_SAMPLES * clients,) if common else (ASSUMED_SAMPLES,)
    return assumed(spec, sizes, clients, classes)
