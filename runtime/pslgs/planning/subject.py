"""What a plan is about: the job's network, whole and cut, and who holds which data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import nn

from pslgs.data.local import LocalDataset
from pslgs.data.opening import TRAINING
from pslgs.planning.distribution import OPTION, Distribution, assumed, counted
from pslgs.planning.inputs import guessed_input_shape
from pslgs.planning.timing import Link
from pslgs.spec.errors import InputError
from pslgs.spec.job import JobSpec
from pslgs.splitting.architectures import build_model
from pslgs.splitting.smashed import INPUT_SHAPE
from pslgs.training.anatomy import Anatomy, dissect
from pslgs.training.fitness import check_dataset
from pslgs.training.task import Task, build_task

ASSUMED_SAMPLES: Final = 1000
"""Of each client, where neither data nor sizes are given."""


@dataclass(frozen=True, slots=True)
class Outlook:
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
class Readable:
    """The clients' data, as far as they can be read here.

    Attributes:
        datasets: One for each client; empty where they cannot be read.
        obstacle: Why they cannot, in words.
    """

    datasets: Sequence[LocalDataset] = ()
    obstacle: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A job, looked at closely.

    Attributes:
        spec: What it says.
        model: The whole network on the meta device; None where its builder returns the two parts.
        task: The network, cut as the job says, and its loss.
        anatomy: Of the cut network.
        distribution: Who holds what.
        input_shape_from: Where the shape of a sample comes from, in words.
    """

    spec: JobSpec
    model: nn.Module | None
    task: Task
    anatomy: Anatomy
    distribution: Distribution
    input_shape_from: str


def study(spec: JobSpec, outlook: Outlook, data: Readable) -> Subject:
    """Build and cut the network, try it, and count or assume what the clients hold.

    Raises:
        InputError: the job cannot be run as it is, or too little is known of its clients and their data.
    """
    built = build_model(spec.model.architecture, spec.model.options, spec.sampling.seed)
    shape, origin = _input_shape(spec, data, built[0] if isinstance(built, tuple) else built)
    task = build_task(spec, shape)
    for dataset in data.datasets:
        check_dataset(task, dataset, TRAINING)
    return Subject(
        spec,
        None if isinstance(built, tuple) else built.to(torch.device("meta")),
        task,
        dissect(task.network, shape),
        _distribution(spec, outlook, data, task),
        origin,
    )


def _input_shape(spec: JobSpec, data: Readable, network: nn.Module) -> tuple[tuple[int, ...], str]:
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


def _distribution(spec: JobSpec, outlook: Outlook, data: Readable, task: Task) -> Distribution:
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
