"""Cut layers of a network: which of them a plan compares, and what a cut costs the job."""

import math
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import torch
from torch import nn

from pslgs.costs.result import CutFigures
from pslgs.costs.time_model import Conditions, StepTime, step_time
from pslgs.costs.traffic import StepTraffic, step_traffic
from pslgs.model_inputs import InputShape
from pslgs.sampling.schedule_statistics import EpochStatistics
from pslgs.spec.deployment import Compression
from pslgs.spec.errors import InputError
from pslgs.spec.named_inputs import NamedInput
from pslgs.spec.optimizer import OptimizerName, OptimizerSpec
from pslgs.splitting.disclosure import check_disclosure
from pslgs.splitting.network import group_normalised
from pslgs.splitting.split_network import split_at
from pslgs.training.objective import Objective
from pslgs.training.profile import NetworkProfile, profile_network

PROCESS_BYTES: Final = 512 << 20
"""Memory of a process without a network, measured at a client: Python and torch."""

_VECTORS: Final = 4  # parameters, their gradients, and a copy of both for their transfer
_MOST: Final = 12


class Candidate(NamedTuple):
    """A layer, and the profile of the network that is cut after it."""

    layer: str
    profile: NetworkProfile


def candidates(
    model: nn.Module,
    input_shape: InputShape,
    layers: Sequence[str],
    input_dtype: torch.dtype | None = None,
    inputs: Sequence[NamedInput] = (),
) -> Iterator[Candidate]:
    """Yield those of ``layers`` after which ``model`` can be cut, in order; the model is not changed.

    A cut behind which the model needs one of several ``inputs`` that may not leave its site is none of them.
    """
    for layer in layers:
        try:
            network = group_normalised(split_at(deepcopy(model), layer, [each.name for each in inputs]))
            check_disclosure(network.disclosed, inputs)
            yield Candidate(layer, profile_network(network, input_shape, input_dtype))
        except InputError:  # the network cannot be cut after this layer
            continue


def every_layer(model: nn.Module) -> list[str]:
    """Return the names of all layers, each before the layer that contains it."""
    return _inside_out(model, "")


def stages(model: nn.Module, chosen: str) -> list[str]:
    """Return the names of about a dozen layers in the order of the network, ``chosen`` among them.

    These are the outermost layers and, as long as they are few, the layers inside the largest of them.
    """
    names = [name for name, _ in model.named_children()]
    opened: set[str] = set()
    while len(names) < _MOST // 2 and (largest := _largest(model, names, opened)):
        opened.add(largest)
        inner = [f"{largest}.{name}" for name, _ in model.get_submodule(largest).named_children()]
        names[names.index(largest) : names.index(largest)] = inner
    every = every_layer(model)
    wanted = {*_thinned(names), chosen}
    return [name for name in every if name in wanted]


def deduplicate_cuts(found: Sequence[Candidate], chosen: str) -> list[Candidate]:
    """Keep one of the cuts with equal costs: ``chosen``, or else the one with the shortest path."""
    kept: dict[tuple[object, ...], Candidate] = {}
    for candidate in found:
        profile = candidate.profile
        key = (profile.smashed, profile.client_flops, profile.server_flops)
        other = kept.get(key)
        if other is None or _rank(candidate, chosen) < _rank(other, chosen):
            kept[key] = candidate
    return [candidate for candidate in found if candidate in kept.values()]


def _rank(candidate: Candidate, chosen: str) -> tuple[bool, int]:
    return candidate.layer != chosen, candidate.layer.count(".")


def _inside_out(module: nn.Module, path: str) -> list[str]:
    names: list[str] = []
    for name, child in module.named_children():
        names += [*_inside_out(child, f"{path}{name}."), f"{path}{name}"]
    return names


def _largest(model: nn.Module, names: Sequence[str], opened: set[str]) -> str | None:
    sizes = {name: len(list(model.get_submodule(name).modules())) for name in names if name not in opened}
    largest = max(sizes, key=sizes.__getitem__, default=None)
    return largest if largest is not None and sizes[largest] > 1 else None


def _thinned(names: Sequence[str]) -> list[str]:
    if len(names) <= _MOST:
        return list(names)
    return [names[i * (len(names) - 1) // (_MOST - 1)] for i in range(_MOST)]


@dataclass(frozen=True, slots=True)
class Costing:
    """What the costs of all cuts of a job depend on.

    Attributes:
        objective: The loss, which decides width and type of labels.
        compression: Compression of smashed data and cut gradients.
        strategy: Expected epoch of the job's strategy.
        conditions: Links and computing speeds.
        optimizer: The optimizer, which keeps a state of each trained parameter.
        averages: Whether the averages of the weights are kept (``ema``).
    """

    objective: Objective
    compression: Compression
    strategy: EpochStatistics
    conditions: Conditions
    optimizer: OptimizerSpec
    averages: bool


def cut_figures(layer: str, profile: NetworkProfile, costing: Costing) -> CutFigures:
    """Return what a cut after ``layer`` costs.

    Raises:
        InputError: the compression cannot carry its smashed data.
    """
    strategy, smashed = costing.strategy, profile.smashed
    traffic = _traffic(profile, costing)
    up = traffic.up(strategy.batch_size, strategy.active_clients)
    down = traffic.down(strategy.batch_size, strategy.active_clients)
    activations = strategy.peak_local_batch * profile.activation_bytes
    buffers = strategy.peak_local_batch * 2 * smashed.bytes_per_sample
    vectors = _VECTORS * profile.client_parameters * smashed.dtype.itemsize
    return CutFigures(
        layer=layer,
        smashed_shapes=smashed.shapes,
        smashed_bytes=smashed.bytes_per_sample,
        input_ratio=smashed.features / profile.input_elements,
        bytes_up=up,
        bytes_down=down,
        bytes_per_epoch=strategy.steps * (up + down),
        client_parameters=profile.client_parameters,
        server_parameters=profile.server_parameters,
        client_flops=profile.client_flops,
        server_flops=profile.server_flops,
        activation_bytes=activations,
        client_bytes=PROCESS_BYTES + activations + buffers + vectors,
        server_bytes=server_memory(profile, costing),
        step=predicted_step(profile, costing),
    )


def server_memory(profile: NetworkProfile, costing: Costing) -> int:
    """Return the bytes that the server needs for a step, on the device of the model or beside it.

    They are those of Python and torch, of the parameters and their averages, of the gradients, their sums
    over several global batches and the state of the optimizer, of the client gradients that were received, of
    the smashed data with their gradient, and of what the server part saves for its backward pass.  Of several
    GPUs it is the first, which needs most: the others have parameters, gradients and their own samples only.
    """
    strategy, smashed = costing.strategy, profile.smashed
    parameters = profile.client_parameters + profile.server_parameters
    gradients = profile.client_gradients + profile.server_gradients
    optimizer = costing.optimizer
    copies_of_gradients = 1 + states_of(optimizer) + (optimizer.accumulate > 1)
    elements = (1 + costing.averages) * parameters + copies_of_gradients * gradients
    elements += math.ceil(strategy.active_clients) * profile.client_gradients
    samples = math.ceil(strategy.batch_size)
    computed = math.ceil(costing.conditions.samples_at_a_gpu(samples))
    of_samples = 2 * samples * smashed.bytes_per_sample + computed * profile.server_activation_bytes
    return PROCESS_BYTES + elements * smashed.dtype.itemsize + of_samples


def states_of(optimizer: OptimizerSpec) -> int:
    """Return how many values an optimizer keeps of each trained parameter."""
    match optimizer.name:
        case OptimizerName.SGD:
            return int(optimizer.momentum > 0)
        case OptimizerName.RMS_PROP:
            return 1 + (optimizer.momentum > 0)
        case OptimizerName.ADAM | OptimizerName.ADAM_W:
            return 2


def predicted_step(profile: NetworkProfile, costing: Costing) -> StepTime:
    """Predict the time of a step."""
    strategy = costing.strategy
    return step_time(
        profile,
        _traffic(profile, costing),
        strategy.largest_local_batch,
        strategy.batch_size,
        costing.conditions,
    )


def compressed_step_seconds(profile: NetworkProfile, costing: Costing) -> dict[str, float]:
    """Return compression -> predicted seconds of a step."""
    return {
        str(compression): predicted_step(profile, replace(costing, compression=compression)).total
        for compression in Compression
    }


def _traffic(profile: NetworkProfile, costing: Costing) -> StepTraffic:
    return step_traffic(
        profile.smashed,
        costing.objective,
        costing.compression,
        parameters=profile.client_parameters,
        gradients=profile.client_gradients,
    )
