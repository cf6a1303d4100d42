"""Ownership of tensors: each tensor of a network belongs to exactly one of the two parts."""

from collections.abc import Iterable

from torch import Tensor, nn

from pslgs.spec.errors import InputError


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
