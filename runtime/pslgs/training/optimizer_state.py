"""An optimizer's state as named tensors and JSON, and back, exactly."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from pslgs.training.checkpoint import CheckpointError


def optimizer_tensors(optimizer: Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Take an optimizer's state apart.

    Returns:
        The tensors as ``state.<parameter's index>.<key>``, the optimizer's own and no copies; and JSON with
        the parameter groups' settings and what else the state holds.
    """
    document = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    rest: dict[str, dict[str, Any]] = {}
    for index, entries in document["state"].items():
        rest[str(index)] = {key: value for key, value in entries.items() if not isinstance(value, Tensor)}
        for key in entries.keys() - rest[str(index)].keys():
            tensors[f"state.{index}.{key}"] = entries[key]
    groups = [{key: _to_json(value) for key, value in group.items()} for group in document["param_groups"]]
    return tensors, {"param_groups": groups, "state": rest}


def load_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor], document: Mapping[str, Any]) -> None:
    """Put a state of `optimizer_tensors` into an optimizer of the same kind over the same parameters.

    Raises:
        CheckpointError: the state is of an optimizer with other parameters or groups.
    """
    state = {int(index): dict(entries) for index, entries in document["state"].items()}
    for name, tensor in tensors.items():
        _, index, key = name.split(".", maxsplit=2)
        state[int(index)][key] = tensor.clone()
    groups = [{key: _from_json(value) for key, value in group.items()} for group in document["param_groups"]]
    try:
        optimizer.load_state_dict({"state": state, "param_groups": groups})
    except ValueError as error:
        raise CheckpointError(
            f"the optimizer's state in the checkpoint does not fit the job: {error}"
        ) from error


def _to_json(value: object) -> object:
    """Mark tuples, which JSON would turn into lists."""
    return {"tuple": list(value)} if isinstance(value, tuple) else value


def _from_json(value: object) -> object:
    return tuple(value["tuple"]) if isinstance(value, dict) else value
