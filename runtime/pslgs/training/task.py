"""The definition of a training: layout of the smashed data, loss, optimizer settings, seed."""

from collections.abc import Sequence
from dataclasses import dataclass

from pslgs.spec.job import JobSpec
from pslgs.spec.optimization import OptimizerSpec
from pslgs.splitting.network import build_network
from pslgs.splitting.smashed import SmashedLayout, probe
from pslgs.splitting.split import SplitNetwork
from pslgs.training.objective import Objective, objective
from pslgs.training.vectors import gradient_elements


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Definition of a training, which server and clients derive from the manifest and the input shape.

    Attributes:
        layout: Layout of the smashed data.
        objective: The loss, with its requirements on the labels.
        optimizer: Settings of the optimizer.
        seed: Seed of all randomness.
        epochs: Number of epochs to train.
        input_shape: Shape of one sample, without the batch dimension.
        client_gradient_elements: Number of elements in a client's gradient vector.
    """

    layout: SmashedLayout
    objective: Objective
    optimizer: OptimizerSpec
    seed: int
    epochs: int
    input_shape: tuple[int, ...]
    client_gradient_elements: int


def build_task(spec: JobSpec, input_shape: Sequence[int]) -> tuple[Task, SplitNetwork]:
    """Build and split the network, and define its training.

    Args:
        spec: Section ``spec`` of the manifest.
        input_shape: Shape of one sample, without the batch dimension.

    Returns:
        The task, and the network with its initial weights.

    Raises:
        InputError: the network cannot be built or split, or does not accept such samples, or the loss does
            not fit its output.
    """
    network = build_network(spec.model, spec.sampling.seed)
    return task_of(spec, network, input_shape), network


def task_of(spec: JobSpec, network: SplitNetwork, input_shape: Sequence[int]) -> Task:
    """Define the training of a network; the network does not change.

    Args:
        spec: Section ``spec`` of the manifest.
        network: The split network.
        input_shape: Shape of one sample, without the batch dimension.

    Raises:
        InputError: the network does not accept such samples, or the loss does not fit its output.
    """
    found = probe(network, input_shape)
    return Task(
        found.smashed,
        objective(spec.loss, found.output_shape, found.smashed.dtype),
        spec.optimizer,
        spec.sampling.seed,
        spec.epochs,
        tuple(input_shape),
        gradient_elements(network.client_part),
    )
