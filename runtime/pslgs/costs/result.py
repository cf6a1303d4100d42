"""The result of a plan: plain values, and their JSON document."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import TypeAdapter

from pslgs.costs.time_model import StepTime
from pslgs.model_inputs import InputShape
from pslgs.sampling.schedule_statistics import EpochStatistics


@dataclass(frozen=True, slots=True)
class CutFigures:
    """Costs of a cut after one layer.

    Attributes:
        layer: Dotted name; empty if the model's builder returns the two parts.
        smashed_shapes: Shapes of the tensors that cross the cut for one sample.
        smashed_bytes: Bytes of the smashed data of one sample, uncompressed.
        input_ratio: Elements of the smashed data per element of the input.
        bytes_up: Bytes from all clients in a step: smashed data, labels, client gradients.
        bytes_down: Bytes to all clients in a step: parameters, cut gradient.
        bytes_per_epoch: Bytes in both directions in an epoch, without evaluations.
        client_parameters: Number of elements of the client part, buffers included.
        server_parameters: Number of elements of the server part, buffers included.
        client_flops: Operations of the client part's forward of one sample.
        server_flops: Operations of the server part's forward of one sample.
        activation_bytes: Bytes that the largest local batch of an epoch saves for its backward.
        client_bytes: Memory of a client: Python and torch, activations, parameters and gradients.
        server_bytes: Memory of the server; see `pslgs.costs.cuts.server_memory`.
        step: Predicted time of a step.
    """

    layer: str
    smashed_shapes: tuple[tuple[int, ...], ...]
    smashed_bytes: int
    input_ratio: float
    bytes_up: int
    bytes_down: int
    bytes_per_epoch: int
    client_parameters: int
    server_parameters: int
    client_flops: int
    server_flops: int
    activation_bytes: int
    client_bytes: int
    server_bytes: int
    step: StepTime


@dataclass(frozen=True, slots=True)
class Advice:
    """Advice on a field of the manifest.

    Attributes:
        path: Path of the field.
        text: What is the case, and what can be done.
    """

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The recommended cut layer, and the reason in sentences."""

    layer: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Predictions of what a job will do and cost.

    Attributes:
        job: Name of the job.
        strategy: Name of its sampling strategy, one of ``strategies``.
        epochs: Number of epochs.
        global_batch_size: B, or N if that is smaller.
        clients: K, number of clients.
        samples: N, number of samples of all clients.
        classes: M, number of classes; None if labels are no classes.
        samples_from: Source of the numbers of samples and classes, in words.
        input_shape: Shape of one sample.
        input_shape_from: Source of that shape, in words.
        bandwidth: Bandwidth of a client's link in each direction, in bits per second.
        latency: Latency of a client's link, one way, in seconds.
        compression: Compression of smashed data and cut gradients.
        client_flops: Floating-point operations per second of a client.
        server_flops: Floating-point operations per second of the server, of one GPU if it has several.
        server_gpus: Number of devices that compute the server part.
        client_speed_measured: Whether the client's speed was measured on this machine instead of given.
        server_speed_measured: Whether the server's speed was measured on this machine instead of given.
        client_memory: Memory of a client in bytes; None if unknown.
        strategies: Expected epoch of each strategy, pooled data last.
        cuts: Costs of the compared cuts, in the order of the network.
        cut_layer: Cut layer of the job.
        recommendation: The recommended cut.
        step_seconds_by_compression: Compression -> seconds of a step with the job's cut.
        training_seconds: Seconds of all epochs with the job's cut, without evaluations.
        training_bytes: Bytes of all clients in both directions in all epochs, without evaluations.
        advice: Advice on the job.
        disclosed: Names of the inputs whose values reach the server.
    """

    job: str
    strategy: str
    epochs: int
    global_batch_size: int
    clients: int
    samples: int
    classes: int | None
    samples_from: str
    input_shape: InputShape
    input_shape_from: str
    bandwidth: float
    latency: float
    compression: str
    client_flops: float
    server_flops: float
    server_gpus: int
    client_speed_measured: bool
    server_speed_measured: bool
    client_memory: int | None
    strategies: tuple[EpochStatistics, ...]
    cuts: tuple[CutFigures, ...]
    cut_layer: str
    recommendation: Recommendation
    step_seconds_by_compression: Mapping[str, float]
    training_seconds: float
    training_bytes: int
    advice: tuple[Advice, ...] = ()
    disclosed: tuple[str, ...] = ()

    @property
    def own_strategy(self) -> EpochStatistics:
        """Expected epoch of the job's strategy."""
        return next(each for each in self.strategies if each.strategy == self.strategy)

    @property
    def own_cut(self) -> CutFigures:
        """Costs of the job's cut."""
        return next(each for each in self.cuts if each.layer == self.cut_layer)


_ADAPTER: Final = TypeAdapter(Plan)


def plan_document(plan: Plan) -> dict[str, Any]:
    """Return a plan as a JSON document."""
    document: dict[str, Any] = _ADAPTER.dump_python(plan, mode="json")
    return document


def plan_from_document(document: object) -> Plan:
    """Return the plan that `plan_document` made a document of."""
    return _ADAPTER.validate_python(document)
