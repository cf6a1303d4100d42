"""The split network: client part, server part, and the original names of their tensors."""

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
    """The two parts of a network, which composed are equivalent to the whole.

    Attributes:
        client_part: Maps samples to the smashed data: one tensor, or a tuple of several.
        server_part: Maps the smashed data, given as separate arguments, to the network's output.
        names: Names of all tensors of the whole network, in its order.
        client_prefix: Prefix in ``names`` of the client part's names.
        server_prefix: Prefix in ``names`` of the server part's names.
        replaced: Names of tensors of the original network that no longer exist (BatchNorm's statistics).
    """

    client_part: nn.Module
    server_part: nn.Module
    names: tuple[str, ...]
    client_prefix: str = ""
    server_prefix: str = ""
    replaced: frozenset[str] = field(default_factory=frozenset)

    def named_tensors(self) -> dict[str, Tensor]:
        """Return the parameters and buffers (not copies) by their original names."""
        client = self.client_part.state_dict(prefix=self.client_prefix, keep_vars=True)
        server = self.server_part.state_dict(prefix=self.server_prefix, keep_vars=True)
        tensors = {**server, **client}
        return {name: tensors[name] for name in self.names}

    def load_named_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Copy ``tensors`` into the network; names in `replaced` are ignored.

        Raises:
            InputError: names are missing or unknown, or shapes differ; nothing has been copied then.
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
        """Return the composition of the parts, which maps samples to outputs and shares their tensors."""
        return _WholeModel(self.client_part, self.server_part)


class _WholeModel(nn.Module):
    """The server part applied to the result of the client part."""

    def __init__(self, client_part: nn.Module, server_part: nn.Module) -> None:
        super().__init__()
        self.client_part = client_part
        self.server_part = server_part

    def forward(self, samples: Tensor) -> Tensor:
        smashed = self.client_part(samples)
        output: Tensor = self.server_part(*((smashed,) if isinstance(smashed, Tensor) else smashed))
        return output


def split_at(model: nn.Module, cut_layer: str) -> SplitNetwork:
    """Split a model after a layer; the parts share the model's layers.

    Args:
        model: The whole network.
        cut_layer: Dotted name of the last layer of the client part.

    Raises:
        InputError: the layer does not exist, or the model cannot be split there.
    """
    names = tuple(name for name, value in model.state_dict().items() if isinstance(value, Tensor))
    cut_layer = _own_name(model, cut_layer)
    division = divide(trace(model, cut_layer), cut_layer)
    client_part, server_part = client_network(model, division), server_network(model, division)
    check_parts(client_part, server_part, CUT_LAYER)
    adopt_unused(model, names, client_part, server_part)
    return SplitNetwork(client_part, server_part, names)


def join_parts(client_part: nn.Module, server_part: nn.Module) -> SplitNetwork:
    """Make a split network of two given parts; their tensors are named ``client.…`` and ``server.…``.

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
    """Return the first name of a layer, which the model may have under several names.

    Raises:
        InputError: the layer does not exist; the message lists the most similar names.
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
