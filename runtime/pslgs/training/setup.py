"""The training setup of a job: layout of the smashed data, loss, optimizer settings and seed."""

from collections.abc import Sequence
from dataclasses import dataclass

from pslgs.spec.job import JobSpec
from pslgs.spec.training import OptimizerSpec
from pslgs.splitting.layout import SmashedLayout, infer_layout
from pslgs.splitting.network import build_network
from pslgs.splitting.split_network import SplitNetwork
from pslgs.training.objective import Objective, objective
from pslgs.training.tensors import gradient_elements


@dataclass(frozen=True, slots=True, eq=False)
class TrainingSetup:
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


def build_setup(spec: JobSpec, input_shape: Sequence[int]) -> tuple[TrainingSetup, SplitNetwork]:
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


def task_of(spec: JobSpec, network: SplitNetwork, input_shape: Sequence[int]) -> TrainingSetup:
    """Define the training of a network; the network does not change.

    Args:
        spec: Section ``spec`` of the manifest.
        network: The split network.
        input_shape: Shape of one sample, without the batch dimension.

    Raises:
        InputError: the network does not accept such samples, or the loss does not fit its output.
    """
    found = infer_layout(network, input_shape)
    return TrainingSetup(
        found.smashed,
        objective(spec.loss, found.output_shape, found.smashed.dtype),
        spec.optimizer,
        spec.sampling.seed,
        spec.epochs,
        tuple(input_shape),
        gradient_elements(network.client_part),
    )
