"""The figures of a plan, plain values that become JSON as they are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import TypeAdapter

from pslgs.costs.time_model import StepTime
from pslgs.sampling.schedule_statistics import EpochStatistics


@dataclass(frozen=True, slots=True)
class CutFigures:
    """What a cut after one layer costs.

    Attributes:
        layer: Dotted name; empty where the builder returns the two parts.
        smashed_shapes: Of the tensors that cross for one sample.
        smashed_bytes: Of one sample, uncompressed.
        input_ratio: Smashed data by the input, both uncompressed.
        bytes_up: From all clients together in a step: smashed data, labels, client gradients.
        bytes_down: To all of them: parameters, cut gradient.
        bytes_per_epoch: Both, without evaluations.
        client_parameters: Numbers that the client part is made of, buffers included.
        server_parameters: Likewise.
        client_flops: Of a forward of one sample.
        server_flops: Likewise.
        activation_bytes: Saved for the backward of the largest local batch of an epoch.
        client_bytes: Memory of a client: Python and torch, activations, parameters and gradients.
        step: Predicted.
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
    step: StepTime


@dataclass(frozen=True, slots=True)
class Advice:
    """Something to think about before the job is run.

    Attributes:
        path: The field that it is about, as in the manifest.
        text: What is so, and what can be done.
    """

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A cut layer, and why it was chosen, in words."""

    layer: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a job will do and cost, predicted.

    Attributes:
        job: Its name.
        strategy: Its sampling strategy, one of ``strategies``.
        epochs: To train.
        global_batch_size: B; the clients' samples where they are fewer.
        clients: K.
        samples: N, of all clients.
        classes: M; None where labels are no classes.
        samples_from: Where the numbers of samples and classes come from.
        input_shape: Of one sample.
        input_shape_from: Where it comes from.
        bandwidth: Of a client's link in each direction, bits per second.
        latency: Of a client's link one way, seconds.
        compression: Of smashed data and cut gradients.
        client_flops: Floating-point operations per second of a client.
        server_flops: Likewise of the server.
        client_speed_measured: Whether it is that of this machine, measured, and was not given.
        server_speed_measured: Likewise.
        client_memory: Bytes that a client has; None where that is unknown.
        strategies: All of them, the yardstick last.
        cuts: Those looked at, in the order of the network.
        cut_layer: The job's own.
        recommendation: The cut that suits best.
        step_seconds_by_compression: Of a step cut as the job says.
        training_seconds: All epochs, cut as the job says; without evaluations.
        training_bytes: Likewise, all clients together in both directions.
        advice: What to think about before the job is run.
    """

    job: str
    strategy: str
    epochs: int
    global_batch_size: int
    clients: int
    samples: int
    classes: int | None
    samples_from: str
    input_shape: tuple[int, ...]
    input_shape_from: str
    bandwidth: float
    latency: float
    compression: str
    client_flops: float
    server_flops: float
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

    @property
    def own_strategy(self) -> EpochStatistics:
        """What the job's own strategy makes of an epoch."""
        return next(each for each in self.strategies if each.strategy == self.strategy)

    @property
    def own_cut(self) -> CutFigures:
        """What the job's own cut costs."""
        return next(each for each in self.cuts if each.layer == self.cut_layer)


_ADAPTER: Final = TypeAdapter(Plan)


def plan_document(plan: Plan) -> dict[str, Any]:
    """Turn a plan into what JSON can say."""
    document: dict[str, Any] = _ADAPTER.dump_python(plan, mode="json")
    return document


def plan_from_document(document: object) -> Plan:
    """Undo `to_document`."""
    return _ADAPTER.validate_python(document)
