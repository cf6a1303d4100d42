"""The training setup of a job: layout of the smashed data, loss, optimizer settings and seed."""

import math
from dataclasses import dataclass, field

import torch

from pslgs.data.standardization import features_of_job
from pslgs.model_inputs import InputShape, NamedShapes, declared_shape, elements
from pslgs.spec.errors import InputError
from pslgs.spec.inputs import InputType
from pslgs.spec.job import JobSpec
from pslgs.spec.metrics import RANKED, Metric, metrics_of
from pslgs.spec.optimizer import OptimizerSpec
from pslgs.spec.training import PrecisionSpec
from pslgs.splitting.architectures import OPTIONS
from pslgs.splitting.data_options import check_sample_size, outputs_field
from pslgs.splitting.disclosure import check_disclosure
from pslgs.splitting.layout import SmashedLayout, infer_layout
from pslgs.splitting.network import build_network
from pslgs.splitting.split_network import SplitNetwork
from pslgs.training.objective import Objective, objective
from pslgs.training.tally import MAX_CONFUSED_CLASSES
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
        ema_decay: Decay of the average of the weights; None for none.
        precision: Precision of the parts.
        input_dtype: Type of samples of one input that are integers; None for that of the client part's
            parameters.
        features: Number of features that are standardised separately; 0 without standardisation.
        followed_metric: Metric that the schedule ReduceOnPlateau follows.
        outputs_field: Path of the manifest field that gives the number of the model's outputs.
    """

    layout: SmashedLayout
    objective: Objective
    optimizer: OptimizerSpec
    seed: int
    epochs: int
    input_shape: InputShape
    client_gradient_elements: int
    ema_decay: float | None = None
    precision: PrecisionSpec = field(default_factory=PrecisionSpec)
    input_dtype: torch.dtype | None = None
    features: int = 0
    followed_metric: Metric = Metric.LOSS
    outputs_field: str = OPTIONS

    @property
    def values_per_feature(self) -> int:
        """Number of values in one sample that are standardised together; with several inputs, 1 counts."""
        if isinstance(self.input_shape, NamedShapes):
            return 1
        return elements(self.input_shape) // max(1, self.features)


def build_setup(spec: JobSpec, found_shape: InputShape) -> tuple[TrainingSetup, SplitNetwork]:
    """Build and split the network, and define its training.

    Args:
        spec: Section ``spec`` of the manifest.
        found_shape: Shape of one sample, without the batch dimension, unless the manifest states it.

    Returns:
        The task, and the network with its initial weights.

    Raises:
        InputError: the network cannot be built or split, or does not accept such samples, or the loss does
            not fit its output.
    """
    network = job_network(spec)
    return task_of(spec, network, declared_shape(spec) or found_shape), network


def job_network(spec: JobSpec) -> SplitNetwork:
    """Build and split the network of a job, with its initial weights.

    Raises:
        InputError: the network cannot be built or split, does not take the job's inputs, or passes on one to
            the server that may not leave its site.
    """
    network = build_network(spec.model, spec.sampling.seed, [each.name for each in spec.data.inputs])
    check_disclosure(network.disclosed, spec.data.inputs)
    return network


def task_of(spec: JobSpec, network: SplitNetwork, input_shape: InputShape) -> TrainingSetup:
    """Define the training of a network; the network does not change.

    Args:
        spec: Section ``spec`` of the manifest.
        network: The split network.
        input_shape: Shape of one sample, without the batch dimension.

    Raises:
        InputError: the network does not accept such samples, the loss or the metric does not fit its output,
            or there are too many features to be standardised.
    """
    input_dtype = torch.int64 if spec.data.input_type is InputType.INTEGER else None
    if not isinstance(input_shape, NamedShapes):
        check_sample_size(spec.model, input_shape)
    found = infer_layout(network, input_shape, input_dtype)
    made = objective(spec.loss, found.output_shape, found.smashed.dtype, spec.loss_options)
    _check_metric(spec, math.prod(found.output_shape))
    return TrainingSetup(
        found.smashed,
        made,
        spec.optimizer,
        spec.sampling.seed,
        spec.epochs,
        input_shape if isinstance(input_shape, NamedShapes) else tuple(input_shape),
        gradient_elements(network.client_part),
        spec.ema.decay,
        spec.precision,
        input_dtype,
        features_of_job(spec.data, input_shape),
        spec.metric or Metric.LOSS,
        outputs_field(spec.model.architecture),
    )


def _check_metric(spec: JobSpec, outputs: int) -> None:
    """Check that the job's metric is one of its loss with so many outputs.

    Raises:
        InputError: it is not.
    """
    if spec.metric is None:
        return
    known = metrics_of(spec.loss, spec.loss_options.labels, outputs=outputs)
    if spec.metric not in known:
        raise InputError.at(
            "spec.metric",
            f"is {spec.metric}, which {spec.loss} does not have for a model with "
            f"{'one output' if outputs == 1 else f'{outputs} outputs'}; use one of {', '.join(known)}",
        )
    if spec.metric in RANKED and outputs > MAX_CONFUSED_CLASSES:
        raise InputError.at(
            "spec.metric",
            f"is {spec.metric}, which is computed for at most {MAX_CONFUSED_CLASSES} classes, but the model "
            f"has {outputs}; use one of {', '.join(each for each in known if each not in RANKED)}",
        )
