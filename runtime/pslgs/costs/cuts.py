"""Cut layers worth looking at: the stages of a network, or every layer at which it can be cut."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Final, NamedTuple

from torch import nn

from pslgs.spec.errors import InputError
from pslgs.splitting.network import group_normalised
from pslgs.splitting.split import split_at
from pslgs.training.anatomy import Anatomy, dissect

_MOST: Final = 12


class Candidate(NamedTuple):
    """A layer, and what the network is like when it is cut after it."""

    layer: str
    anatomy: Anatomy


def candidates(model: nn.Module, input_shape: Sequence[int], layers: Sequence[str]) -> Iterator[Candidate]:
    """Yield those of ``layers`` after which ``model`` can be cut, in their order; the model stays whole."""
    for layer in layers:
        try:
            network = group_normalised(split_at(deepcopy(model), layer))
            yield Candidate(layer, dissect(network, input_shape))
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
