"""A network cut in two: the client part, the server part, and the original names of their tensors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

import torch
from torch import Tensor, nn

from pslgs.spec.errors import InputError, Violation
from pslgs.splitting.division import divide
from pslgs.splitting.graphs import client_network, server_network
from pslgs.splitting.ownership import adopt_unused, check_parts
from pslgs.splitting.tracing import CUT_LAYER, trace

INITIAL_WEIGHTS = "spec.model.initialWeights"


@dataclass(frozen=True, slots=True, eq=False)
class SplitNetwork:
    """The parts of a network: ``server_part(*smashed)`` of ``smashed = client_part(samples)`` is the whole.

    Attributes:
        client_part: Samples in; out comes the smashed data, one tensor or a tuple of several.
        server_part: The smashed data in, as so many arguments; out comes the network's output.
        names: Of all tensors of the whole network, in its order.
        client_prefix: What ``names`` put before the client part's own names.
        server_prefix: The same for the server part.
        replaced: Names of tensors that the original network has and this one lacks (BatchNorm's statistics).
    """

    client_part: nn.Module
    server_part: nn.Module
    names: tuple[str, ...]
    client_prefix: str = ""
    server_prefix: str = ""
    replaced: frozenset[str] = field(default_factory=frozenset)

    def named_tensors(self) -> dict[str, Tensor]:
        """Map original names to the parameters and buffers themselves; these are no copies."""
        client = self.client_part.state_dict(prefix=self.client_prefix, keep_vars=True)
        server = self.server_part.state_dict(prefix=self.server_prefix, keep_vars=True)
        tensors = {**server, **client}
        return {name: tensors[name] for name in self.names}

    def load_named_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Copy ``tensors`` into the network, all or nothing; of other names only `replaced` ones may occur.

        Raises:
            InputError: names are missing or unknown, or shapes differ.
        """
        own = self.named_tensors()
        problems = [
            _names_problem("lacks", own.keys() - tensors.keys()),
            _names_problem("has, unknown to this model,", tensors.keys() - own.keys() - self.replaced),
            *(_shape_problem(name, tensors[name], own[name]) for name in own if name in tensors),
        ]
        violations = [Violation(INITIAL_WEIGHTS, problem) for problem in problems if problem]
        if violations:
            raise InputError(*violations)
        with torch.no_grad():
            for name, tensor in own.items():
                tensor.copy_(tensors[name])

    def whole_model(self) -> nn.Module:
        """Compose the parts again, sharing their tensors: samples in, output out."""
        return _WholeModel(self.client_part, self.server_part)


class _WholeModel(nn.Module):
    """Client part, then server part."""

    def __init__(self, client_part: nn.Module, server_part: nn.Module) -> None:
        super().__init__()
        self.client_part = client_part
        self.server_part = server_part

    def forward(self, samples: Tensor) -> Tensor:
        smashed = self.client_part(samples)
        output: Tensor = self.server_part(*((smashed,) if isinstance(smashed, Tensor) else smashed))
        return output


def split_at(model: nn.Module, cut_layer: str) -> SplitNetwork:
    """Cut ``model`` after its layer ``cut_layer`` (a dotted name); the parts share the layers of ``model``.

    Raises:
        InputError: no such layer, or the model cannot be cut there.
    """
    names = tuple(name for name, value in model.state_dict().items() if isinstance(value, Tensor))
    cut_layer = _own_name(model, cut_layer)
    division = divide(trace(model, cut_layer), cut_layer)
    client_part, server_part = client_network(model, division), server_network(model, division)
    check_parts(client_part, server_part, CUT_LAYER)
    adopt_unused(model, names, client_part, server_part)
    return SplitNetwork(client_part, server_part, names)


def join_parts(client_part: nn.Module, server_part: nn.Module) -> SplitNetwork:
    """Take two parts as they are; their tensors are named ``client.…`` and ``server.…``.

    Raises:
        InputError: the parts share tensors, or one of them has no parameters.
    """
    check_parts(client_part, server_part, "spec.model.architecture")
    prefixes = "client.", "server."
    names = tuple(
        name
        for part, prefix in zip((client_part, server_part), prefixes, strict=True)
        for name in part.state_dict(prefix=prefix)
    )
    return SplitNetwork(client_part, server_part, names, *prefixes)


def _own_name(model: nn.Module, cut_layer: str) -> str:
    """Find the first name of the layer, should the model have it under several.

    Raises:
        InputError: there is no such layer; the message names the nearest ones.
    """
    layers = {name: layer for name, layer in model.named_modules(remove_duplicate=False) if name}
    if cut_layer not in layers:
        nearest = get_close_matches(cut_layer, layers, n=3)
        others = [name for name, _ in model.named_children() if name not in nearest]
        problem = f"the model has no layer '{cut_layer}'; it has {', '.join([*nearest, *others[:12]])}."
        raise InputError.at(CUT_LAYER, problem)
    own_name: str = next(name for name, layer in model.named_modules() if layer is layers[cut_layer])
    return own_name


def _names_problem(verb: str, names: set[str]) -> str:
    if not names:
        return ""
    first, more = sorted(names)[:3], len(names) - 3
    return f"the file {verb} {', '.join(first)}{f' and {more} more' if more > 0 else ''}."


def _shape_problem(name: str, given: Tensor, own: Tensor) -> str:
    if given.shape == own.shape:
        return ""
    return f"'{name}' has the shape {tuple(given.shape)} in the file and {tuple(own.shape)} in the model."
