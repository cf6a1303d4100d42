"""What a plan is made from: the job's network, the clients' data, links and machines."""

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
from pslgs.model_inputs import InputShape, declared_shape
from pslgs.sampling.partition import partition
from pslgs.sampling.randomness import Purpose, generator
from pslgs.sampling.schedule_statistics import DataDistribution
from pslgs.spec.errors import InputError
from pslgs.spec.inputs import Transform
from pslgs.spec.job import JobSpec
from pslgs.spec.named_inputs import INPUTS
from pslgs.splitting.architectures import build_model
from pslgs.splitting.layout import INPUT_SHAPE
from pslgs.splitting.split_network import SplitNetwork
from pslgs.training.dataset_check import check_dataset
from pslgs.training.objective import Objective
from pslgs.training.profile import NetworkProfile, profile_network
from pslgs.training.setup import TrainingSetup, build_setup

OPTION = "--dataset-sizes"


def counted(datasets: Sequence[ClientDataset], objective: Objective) -> DataDistribution:
    """Return the distribution of the job's own datasets, one per client."""
    sizes = np.array([data.samples for data in datasets], dtype=np.int64)
    counts = None
    if objective.classes is not None:
        labels = [objective.as_labels(torch.from_numpy(data.labels)) for data in datasets]
        counts = np.array([objective.class_counts(each) for each in labels], dtype=np.int64)
    return DataDistribution(sizes, counts, "the job's own data")


def assumed(
    spec: JobSpec, sizes: Sequence[int], clients: int | None, classes: int | None
) -> DataDistribution:
    """Return the distribution of clients with ``sizes`` samples and balanced classes.

    A single size is that of the common dataset if the job has a partition, and else of each client.

    Args:
        spec: The job.
        sizes: Sizes as given by the user.
        clients: Number of clients; None if the user did not give it.
        classes: M, number of classes; None if labels are no classes.

    Raises:
        InputError: the sizes do not fit the number of clients, or there is no sample.
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
    """Guess the shape of a sample from the first layer with weights and the last resizing transform.

    None if these do not determine it.
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
"""Samples of each client, if neither data nor sizes are given."""


@dataclass(frozen=True, slots=True)
class Environment:
    """The links and machines that a plan assumes, and what the user says of the data.

    Attributes:
        link: Link of each client.
        client_memory: Memory of a client in bytes; None if unknown.
        client_flops: Floating-point operations per second of a client; None to measure this machine.
        server_flops: Floating-point operations per second of the server, of one GPU if it has several; None
            to measure this machine.
        dataset_sizes: Samples of each client, or one number; takes precedence over the data.
        clients: Number of clients, if neither data nor a partition nor sizes determine it.
        all_cuts: Whether to compare cuts after all layers instead of about a dozen.
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
        datasets: One dataset per client; empty if they cannot be read.
        obstacle: Why they cannot be read, in words.
    """

    datasets: Sequence[ClientDataset] = ()
    obstacle: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class PlannedJob:
    """The job of a plan: its network, whole and cut, and its data.

    Attributes:
        spec: The job's spec.
        model: The whole network on the meta device; None if its builder returns the two parts.
        task: The definition of the training.
        network: The network, cut as the spec says.
        profile: Profile of the cut network.
        distribution: Which client holds what.
        input_shape_from: Source of the shape of a sample, in words.
    """

    spec: JobSpec
    model: nn.Module | None
    task: TrainingSetup
    network: SplitNetwork
    profile: NetworkProfile
    distribution: DataDistribution
    input_shape_from: str


def examine(spec: JobSpec, environment: Environment, data: AvailableData) -> PlannedJob:
    """Build, cut and profile the network, and count or assume the clients' data.

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
        profile_network(network, shape, task.input_dtype),
        _distribution(spec, environment, data, task),
        origin,
    )


def _input_shape(spec: JobSpec, data: AvailableData, network: nn.Module) -> tuple[InputShape, str]:
    declared = declared_shape(spec)
    if declared is not None:
        return declared, f"{INPUTS}[…].shape" if spec.data.inputs else INPUT_SHAPE
    if data.datasets:
        return data.datasets[0].input_shape, "the job's own data"
    if spec.data.inputs:
        reason = f" ({data.obstacle})" if data.obstacle else ""
        problem = f"have no shapes, and there are no data here to read them from{reason}; set shape for each"
        raise InputError.at(INPUTS, problem)
    guess = guessed_input_shape(network, spec.data.transforms)
    if guess is None:
        reason = f" ({data.obstacle})" if data.obstacle else ""
        example = f"--set '{INPUT_SHAPE}=[3, 224, 224]'"
        raise InputError.at(
            INPUT_SHAPE,
            f"is missing, and there are no data here from which it is known{reason}; give it, e.g. {example}",
        )
    return guess, "a guess from the network's first layer and the transforms"


def _distribution(
    spec: JobSpec, environment: Environment, data: AvailableData, task: TrainingSetup
) -> DataDistribution:
    classes = task.objective.classes
    if environment.dataset_sizes:
        return assumed(spec, environment.dataset_sizes, environment.clients, classes)
    if data.datasets:
        held = counted(data.datasets, task.objective)
        if held.samples:
            return held
        raise InputError.at(TRAINING, "gives no client a sample; check that the path leads to the data")
    clients = spec.data.partition.clients if spec.data.partition else environment.clients
    if clients is None:
        raise InputError.at(
            TRAINING,
            f"cannot be read here ({data.obstacle}), so that the number of clients is unknown; "
            f"give --clients or {OPTION}",
        )
    common = spec.data.partition is not None
    sizes = (ASSUMED_SAMPLES * clients,) if common else (ASSUMED_SAMPLES,)
    return assumed(spec, sizes, clients, classes)
