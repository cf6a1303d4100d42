"""Initial weights: which tensors of a file go into a network, and what was loaded."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import torch
from torch import Tensor

from pslgs.spec.errors import InputError, Violation
from pslgs.spec.model import InitialWeights
from pslgs.splitting.split_network import INITIAL_WEIGHTS, SplitNetwork
from pslgs.splitting.weights_file import load_weights

_SHOWN = 4


@dataclass(frozen=True, slots=True)
class LoadedWeights:
    """What was loaded from a file of weights, and what was not; all by name of a tensor.

    Attributes:
        file: The file.
        loaded: Tensors of the network that were loaded.
        converted: Types in the file of those that the network has in another type.
        excepted: Tensors of the network that `InitialWeights.except_` names.
        lacking: Other tensors of the network that the file lacks.
        unknown: Tensors of the file that the network does not have.
        statistics: Statistics of BatchNorm in the file that the network does not need, because group
            normalisation replaces it in the client part.
    """

    file: str
    loaded: Sequence[str]
    converted: Sequence[str] = ()
    excepted: Sequence[str] = ()
    lacking: Sequence[str] = ()
    unknown: Sequence[str] = ()
    statistics: Sequence[str] = ()

    def __str__(self) -> str:
        total = len(self.loaded) + len(self.excepted) + len(self.lacking)
        clauses = [f"initial weights: loaded {len(self.loaded)} of {total} tensors from {self.file}"]
        if self.converted:
            clauses.append(f"converted from {', '.join(self.converted)}")
        if self.excepted:
            clauses.append(f"kept random as excepted: {_listed(self.excepted)}")
        if self.lacking:
            clauses.append(f"kept random, as the file lacks them: {_listed(self.lacking)}")
        if self.unknown:
            clauses.append(f"ignored, as the network lacks them: {_listed(self.unknown)}")
        if self.statistics:
            clauses.append(
                f"not needed: {len(self.statistics)} statistics of batch normalisation, which group "
                "normalisation replaces in the client part"
            )
        return "; ".join(clauses)


def load_initial_weights(network: SplitNetwork, weights: InitialWeights) -> LoadedWeights:
    """Copy the weights of a file into a network.

    Args:
        network: The network, which is changed in place.
        weights: The file, and which of its tensors are loaded.

    Raises:
        InputError: the file cannot be read or does not fit the network; nothing has been copied then.
    """
    given = _stripped(load_weights(Path(weights.path), f"{INITIAL_WEIGHTS}.path"), weights.strip)
    own = network.named_tensors()
    _check_excepted(weights.except_, [*own, *given])
    chosen = {name: tensor for name, tensor in given.items() if not _is_within(name, weights.except_)}
    wanted = {name: tensor for name, tensor in own.items() if not _is_within(name, weights.except_)}
    copied = {name: chosen[name] for name in wanted if name in chosen}
    lacking = _lacking(wanted, copied)
    unknown = [name for name in chosen if name not in wanted and name not in network.replaced]
    _check_names(lacking, unknown, copied, given, own, weights)
    _check_shapes({name: (copied[name], own[name]) for name in copied})
    _check_values(copied, own)
    with torch.no_grad():
        for name, tensor in copied.items():
            own[name].copy_(tensor)
    return LoadedWeights(
        file=weights.path,
        loaded=[name for name in wanted if name not in lacking],
        converted=sorted({_type(copied[name]) for name in copied if copied[name].dtype != own[name].dtype}),
        excepted=[name for name in own if name not in wanted],
        lacking=lacking,
        unknown=unknown,
        statistics=[name for name in chosen if name in network.replaced],
    )


def _stripped(tensors: Mapping[str, Tensor], prefix: str | None) -> dict[str, Tensor]:
    """Remove a prefix from the names that have it; without a dot at its end, also the dot after it."""
    if prefix is None:
        return dict(tensors)
    stripped = {name.removeprefix(prefix).removeprefix("."): tensor for name, tensor in tensors.items()}
    path = f"{INITIAL_WEIGHTS}.strip"
    if not any(name.startswith(prefix) for name in tensors):
        raise InputError.at(
            path, f"is '{prefix}', with which no name in the file begins; it has {_listed(tensors)}"
        )
    if len(stripped) < len(tensors):
        raise InputError.at(path, f"is '{prefix}', without which two names in the file are the same")
    return stripped


def _is_within(name: str, parents: Iterable[str]) -> bool:
    return any(f"{name}.".startswith(f"{parent.rstrip('.')}.") for parent in parents)


def _check_excepted(excepted: Sequence[str], names: Sequence[str]) -> None:
    """Refuse names that stand for nothing, such as misspelt ones."""
    modules = {name.rsplit(".", depth)[0] for name in names for depth in range(name.count(".") + 1)}
    violations = []
    for index, each in enumerate(excepted):
        if not any(_is_within(name, [each]) for name in names):
            nearest = get_close_matches(each, modules, n=3) or sorted(modules)[:_SHOWN]
            problem = f"is '{each}', which neither the model nor the file has; similar are {_listed(nearest)}"
            violations.append(Violation(f"{INITIAL_WEIGHTS}.except[{index}]", problem))
    if violations:
        raise InputError(*violations)


def _lacking(wanted: Mapping[str, Tensor], copied: Mapping[str, Tensor]) -> list[str]:
    """Return the tensors that are not in the file, neither themselves nor as one that shares their memory.

    The number of batches that BatchNorm has seen is not needed: old files do not have it.
    """
    shared = {wanted[name].data_ptr() for name in copied if wanted[name].numel()}
    return [
        name
        for name, tensor in wanted.items()
        if name not in copied and tensor.data_ptr() not in shared and not name.endswith("num_batches_tracked")
    ]


def _check_names(  # noqa: PLR0913, PLR0917 - both sides of the comparison, before and after the selection
    lacking: Sequence[str],
    unknown: Sequence[str],
    copied: Mapping[str, Tensor],
    given: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
    weights: InitialWeights,
) -> None:
    """Check that names fit, which ones depending on `InitialWeights.strict`."""
    if not lacking and not unknown:
        return
    if not copied or weights.strict:
        verbs = ("lacks", lacking), ("has, unknown to this model,", unknown)
        parts = [f"the file {verb} {_listed(names)}" for verb, names in verbs if names]
        problem = f"{'; '.join(parts)}. {_names_remedy(lacking, unknown, given, own)}"
        raise InputError.at(INITIAL_WEIGHTS, problem)


def _names_remedy(
    lacking: Sequence[str], unknown: Sequence[str], given: Mapping[str, Tensor], own: Mapping[str, Tensor]
) -> str:
    prefix = _superfluous_prefix(given, own)
    if prefix:
        return f"All of its names begin with '{prefix}'; set strip: '{prefix}'."
    remedy = "set strict: false to load what fits"
    modules = _modules([*lacking, *unknown])
    if len(modules) <= _SHOWN:
        return f"Set except: [{', '.join(modules)}] to leave them out, or {remedy}."
    return f"{remedy[0].upper()}{remedy[1:]}, or give the weights of this architecture."


def _superfluous_prefix(given: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    """Return the prefix without which at least half of the network's names are in the file; or nothing."""
    candidates = {name[: -len(each)] for each in own for name in given if name.endswith(f".{each}")}
    for prefix in sorted(candidates, key=len):
        found = sum(f"{prefix}{name}" in given for name in own)
        if all(name.startswith(prefix) for name in given) and 2 * found >= len(own):
            return prefix
    return ""


def _check_shapes(pairs: Mapping[str, tuple[Tensor, Tensor]]) -> None:
    different = {name: pair for name, pair in pairs.items() if pair[0].shape != pair[1].shape}
    if not different:
        return
    named = [
        f"'{name}' has the shape {tuple(given.shape)} in the file and {tuple(own.shape)} in the model"
        for name, (given, own) in list(different.items())[:_SHOWN]
    ]
    more = len(different) - len(named)
    modules = _modules(different)
    remedy = (
        f"To train these from random weights, set except: [{', '.join(modules)}]."
        if len(modules) <= _SHOWN
        else "The weights are of another architecture, or of one with other options."
    )
    tail = f"; and {more} more" if more else ""
    raise InputError.at(INITIAL_WEIGHTS, f"{'; '.join(named)}{tail}. {remedy}")


def _check_values(copied: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    for name, tensor in copied.items():
        if own[name].is_floating_point() and not tensor.is_floating_point():
            problem = f"'{name}' is of {_type(tensor)}, but weights must be floating-point numbers"
            raise InputError.at(INITIAL_WEIGHTS, f"{problem}; save them before quantization.")
        if own[name].is_floating_point() and not torch.isfinite(tensor.to(own[name].dtype)).all():
            problem = f"'{name}' has values that are not finite as {_type(own[name])}"
            raise InputError.at(INITIAL_WEIGHTS, f"{problem}; give weights that are.")


def _modules(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(name.rpartition(".")[0] or name for name in names))


def _type(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    more = len(every) - _SHOWN
    return ", ".join(every[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
