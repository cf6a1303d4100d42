"""What a job trains: the cut network, the shape of its smashed data, its loss and how it is optimised."""

from collections.abc import Sequence
from dataclasses import dataclass

from pslgs.spec.job import JobSpec
from pslgs.spec.optimization import OptimizerSpec
from pslgs.splitting.network import build_network
from pslgs.splitting.smashed import SmashedLayout, probe
from pslgs.splitting.split import SplitNetwork
from pslgs.training.objective import Objective, objective


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """What server and clients both derive from the manifest and the shape of a sample.

    Attributes:
        network: Both parts, with their initial weights.
        layout: Of the smashed data.
        objective: The loss, with what it asks of the labels.
        optimizer: Settings of the optimizer.
        seed: From which everything random derives.
        epochs: Epochs to train.
        input_shape: Of one sample, without the batch dimension.
    """

    network: SplitNetwork
    layout: SmashedLayout
    objective: Objective
    optimizer: OptimizerSpec
    seed: int
    epochs: int
    input_shape: tuple[int, ...]


def build_task(spec: JobSpec, input_shape: Sequence[int]) -> Task:
    """Build and cut the network, and try it on samples of ``input_shape``.

    Raises:
        InputError: the model cannot be built, cut there or take such samples, or the loss does not fit it.
    """
    network = build_network(spec.model, spec.sampling.seed)
    found = probe(network, input_shape)
    return Task(
        network,
        found.smashed,
        objective(spec.loss, found.output_shape, found.smashed.dtype),
        spec.optimizer,
        spec.sampling.seed,
        spec.epochs,
        tuple(input_shape),
    )
