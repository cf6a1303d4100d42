"""A network cut in two: its parts, the original names of their tensors, and weights files."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

import torch
from torch import Tensor, nn

from pslgs.spec.errors import InputError, Violation
from pslgs.splitting.cut import cut_at
from pslgs.splitting.disclosure import check_names, disclosed_inputs
from pslgs.splitting.outputs import return_logits
from pslgs.splitting.subgraphs import client_network, server_network
from pslgs.splitting.trace import CUT_LAYER, trace


def check_parts(client_part: nn.Module, server_part: nn.Module, path: str) -> None:
    """Check that two parts can be trained separately.

    Args:
        client_part: The client part.
        server_part: The server part.
        path: Path of the manifest field that determines the parts, for error messages.

    Raises:
        InputError: one part has no parameters, or both use the same tensor.
    """
    if next(server_part.parameters(), None) is None:
        raise InputError.at(path, "the server part would have no parameters; cut at an earlier layer.")
    if next(client_part.parameters(), None) is None:
        problem = "the client part would have no parameters and reveal the samples; cut at a later layer."
        raise InputError.at(path, problem)
    client = {key: name for name, tensor in _tensors(client_part) for key in _identities(tensor)}
    for name, tensor in _tensors(server_part):
        for key in _identities(tensor):
            if key in client:
                problem = (
                    f"'{name}' is used on both sides of the cut (as '{client[key]}' in the client part); cut "
                    f"at another layer."
                )
                raise InputError.at(path, problem)


def adopt_unused(
    network: nn.Module, names: Iterable[str], client_part: nn.Module, server_part: nn.Module
) -> None:
    """Register the tensors that the forward never uses with the server part, so that they are saved."""
    used = client_part.state_dict().keys() | server_part.state_dict().keys()
    for name in names:
        if name not in used:
            parent, _, field = name.rpartition(".")
            _hold(server_part, parent, field, getattr(network.get_submodule(parent), field))


def _tensors(part: nn.Module) -> list[tuple[str, Tensor]]:
    return list(part.state_dict(keep_vars=True).items())


def _identities(tensor: Tensor) -> set[int]:
    """Return keys that two tensors have in common if they are the same object or share memory."""
    return {id(tensor), tensor.untyped_storage().data_ptr()} - {0}


def _hold(part: nn.Module, parent: str, field: str, tensor: Tensor) -> None:
    holder = part
    for name in parent.split(".") if parent else ():
        if not hasattr(holder, name):
            holder.add_module(name, nn.Module())
        holder = getattr(holder, name)
    if isinstance(tensor, nn.Parameter):
        holder.register_parameter(field, tensor)
    else:
        holder.register_buffer(field, tensor)


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
        disclosed: Names of the inputs, of several, that the client part passes on as they are; not known of
            two parts that were given.
    """

    client_part: nn.Module
    server_part: nn.Module
    names: tuple[str, ...]
    client_prefix: str = ""
    server_prefix: str = ""
    replaced: frozenset[str] = field(default_factory=frozenset)
    disclosed: tuple[str, ...] = ()

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

    def forward(self, *samples: Tensor, **inputs: Tensor) -> Tensor:
        smashed = self.client_part(*samples, **inputs)
        output: Tensor = self.server_part(*((smashed,) if isinstance(smashed, Tensor) else smashed))
        return output


def split_at(model: nn.Module, cut_layer: str, inputs: Sequence[str] = ()) -> SplitNetwork:
    """Split a model after a layer; the parts share the model's layers.

    Args:
        model: The whole network.
        cut_layer: Dotted name of the last layer of the client part.
        inputs: Names of several inputs; without them, there is one.

    Raises:
        InputError: the layer does not exist, the model cannot be split there, or it takes other inputs.
    """
    check_names(model, inputs, "the model")
    names = tuple(name for name, value in model.state_dict().items() if isinstance(value, Tensor))
    cut_layer = _own_name(model, cut_layer)
    division = cut_at(trace(model, cut_layer, inputs), cut_layer, one_input=not inputs)
    client_part, server_part = client_network(model, division), return_logits(server_network(model, division))
    check_parts(client_part, server_part, CUT_LAYER)
    adopt_unused(model, names, client_part, server_part)
    disclosed = disclosed_inputs(division.crossing, model) if inputs else ()
    return SplitNetwork(client_part, server_part, names, disclosed=disclosed)


def join_parts(client_part: nn.Module, server_part: nn.Module, inputs: Sequence[str] = ()) -> SplitNetwork:
    """Make a split network of two given parts; their tensors are named ``client.…`` and ``server.…``.

    Raises:
        InputError: the parts share tensors, one of them has no parameters, or the client part takes other
            inputs.
    """
    check_names(client_part, inputs, "the client part")
    check_parts(client_part, server_part, "spec.model.architecture")
    prefixes = "client.", "server."
    names = tuple(
        name
        for part, prefix in zip((client_part, server_part), prefixes, strict=True)
        for name in part.state_dict(prefix=prefix)
    )
    return SplitNetwork(client_part, return_logits(server_part), names, *prefixes)


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
