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
    """What server and clients both derive from the manifest and the shape of a sample, tensors excepted.

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
    """Build and cut the network, and try it on samples of ``input_shape``.

    Returns:
        The task, and the network with its initial weights.

    Raises:
        InputError: the model cannot be built, cut there or take such samples, or the loss does not fit it.
    """
    network = build_network(spec.model, spec.sampling.seed)
    return task_of(spec, network, input_shape), network


def task_of(spec: JobSpec, network: SplitNetwork, input_shape: Sequence[int]) -> Task:
    """Try a network on samples of ``input_shape`` and define its training; the network stays the same.

    Raises:
        InputError: the network cannot take such samples, or the loss does not fit it.
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
