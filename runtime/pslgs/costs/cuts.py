"""Cut layers of a network: which ones are compared, and what a cut there costs the job."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from torch import nn

from pslgs.costs.result import CutFigures
from pslgs.costs.time_model import Conditions, StepTime, step_time
from pslgs.costs.traffic import StepTraffic, step_traffic
from pslgs.sampling.schedule_statistics import EpochStatistics
from pslgs.spec.deployment import Compression
from pslgs.spec.errors import InputError
from pslgs.splitting.network import group_normalised
from pslgs.splitting.split_network import split_at
from pslgs.training.objective import Objective
from pslgs.training.profile import NetworkProfile, profile_network

PROCESS_BYTES: Final = 512 << 20
"""Memory of a client's process before it has a network: Python and torch, as measured."""

_VECTORS: Final = 4  # parameters, their gradients, and both once more as they travel
_MOST: Final = 12


class Candidate(NamedTuple):
    """A layer, and what the network is like when it is cut after it."""

    layer: str
    anatomy: NetworkProfile


def candidates(model: nn.Module, input_shape: Sequence[int], layers: Sequence[str]) -> Iterator[Candidate]:
    """Yield those of ``layers`` after which ``model`` can be cut, in their order; the model stays whole."""
    for layer in layers:
        try:
            network = group_normalised(split_at(deepcopy(model), layer))
            yield Candidate(layer, profile_network(network, input_shape))
        except InputError:  # not every layer can be a cut layer, and most are not meant to be
            continue


def every_layer(model: nn.Module) -> list[str]:
    """Name all layers, each before the layer that it ends."""
    return _inside_out(model, "")


def stages(model: nn.Module, chosen: str) -> list[str]:
    """Name about a dozen layers in the order of the network, ``chosen`` among them.

    The outermost layers, and as long as these are few, those inside the one that holds the most layers.
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
    """Leave of the cuts that amount to the same only ``chosen``, or else the one of the shortest path."""
    kept: dict[tuple[object, ...], Candidate] = {}
    for candidate in found:
        anatomy = candidate.anatomy
        key = (anatomy.smashed, anatomy.client_flops, anatomy.server_flops)
        twin = kept.get(key)
        if twin is None or _rank(candidate, chosen) < _rank(twin, chosen):
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
    """What all cuts of a job have in common.

    Attributes:
        objective: Tells what labels look like.
        compression: Of smashed data and cut gradients.
        strategy: What the job's strategy makes of an epoch.
        conditions: Links and computing speeds.
    """

    objective: Objective
    compression: Compression
    strategy: EpochStatistics
    conditions: Conditions


def cut_figures(layer: str, anatomy: NetworkProfile, costing: Costing) -> CutFigures:
    """Work out what a cut after ``layer`` costs.

    Raises:
        InputError: the compression cannot carry its smashed data.
    """
    strategy, smashed = costing.strategy, anatomy.smashed
    traffic = _traffic(anatomy, costing)
    up = traffic.up(strategy.batch_size, strategy.active_clients)
    down = traffic.down(strategy.batch_size, strategy.active_clients)
    activations = strategy.peak_local_batch * anatomy.activation_bytes
    buffers = strategy.peak_local_batch * 2 * smashed.bytes_per_sample
    vectors = _VECTORS * anatomy.client_parameters * smashed.dtype.itemsize
    return CutFigures(
        layer=layer,
        smashed_shapes=smashed.shapes,
        smashed_bytes=smashed.bytes_per_sample,
        input_ratio=smashed.features / anatomy.input_elements,
        bytes_up=up,
        bytes_down=down,
        bytes_per_epoch=strategy.steps * (up + down),
        client_parameters=anatomy.client_parameters,
        server_parameters=anatomy.server_parameters,
        client_flops=anatomy.client_flops,
        server_flops=anatomy.server_flops,
        activation_bytes=activations,
        client_bytes=PROCESS_BYTES + activations + buffers + vectors,
        step=predicted_step(anatomy, costing),
    )


def predicted_step(anatomy: NetworkProfile, costing: Costing) -> StepTime:
    """Predict the time of a step, which waits for the client with the largest local batch."""
    strategy = costing.strategy
    return step_time(
        anatomy,
        _traffic(anatomy, costing),
        strategy.largest_local_batch,
        strategy.batch_size,
        costing.conditions,
    )


def compressed_step_seconds(anatomy: NetworkProfile, costing: Costing) -> dict[str, float]:
    """Predict the time of a step under each compression."""
    return {
        str(compression): predicted_step(anatomy, replace(costing, compression=compression)).total
        for compression in Compression
    }


def _traffic(anatomy: NetworkProfile, costing: Costing) -> StepTraffic:
    return step_traffic(
        anatomy.smashed,
        costing.objective,
        costing.compression,
        parameters=anatomy.client_parameters,
        gradients=anatomy.client_gradients,
    )
