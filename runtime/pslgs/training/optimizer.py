"""One optimizer over both parts: construction, steps and state."""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

import torch
from torch import Tensor, nn, optim
from torch.optim import Optimizer

from pslgs.spec.optimizer import OptimizerName, OptimizerSpec
from pslgs.training.checkpoint import CheckpointError

T = TypeVar("T", bound=Optimizer)


def without_compiler(optimizer: type[T]) -> type[T]:
    """Return an optimizer's class without what torch wraps around its methods for functions that it compiles.

    The wrappers import the compiler, which takes seconds and 150 MB, and nothing is compiled here.
    """
    kept = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
    plain = {name: inspect.unwrap(getattr(optimizer, name)) for name in kept}
    step = torch.no_grad()(inspect.unwrap(optimizer.step))
    eager: type[T] = type(optimizer.__name__, (optimizer,), {**plain, "step": step})
    return eager


def build_optimizer(spec: OptimizerSpec, parameters: Iterable[Tensor]) -> optim.Optimizer:
    """Create the optimizer of the manifest over the parameters of both parts."""
    trained = list(parameters)
    match spec.name:
        case OptimizerName.SGD:
            return without_compiler(optim.SGD)(
                trained,
                spec.learning_rate,
                momentum=spec.momentum,
                weight_decay=spec.weight_decay,
                nesterov=spec.nesterov,
            )
        case OptimizerName.ADAM | OptimizerName.ADAM_W:
            adam = optim.AdamW if spec.name is OptimizerName.ADAM_W else optim.Adam
            betas = (spec.betas[0], spec.betas[1])
            return without_compiler(adam)(
                trained, spec.learning_rate, betas=betas, weight_decay=spec.weight_decay
            )
        case OptimizerName.RMS_PROP:
            return without_compiler(optim.RMSprop)(
                trained,
                spec.learning_rate,
                alpha=spec.alpha,
                momentum=spec.momentum,
                weight_decay=spec.weight_decay,
            )


def apply_step(optimizer: optim.Optimizer, rate: float, spec: OptimizerSpec) -> None:
    """Clip the gradients, take one optimizer step at the given learning rate, and reset them to None."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if spec.clip_norm is not None:
        nn.utils.clip_grad_norm_(trained, spec.clip_norm)
    elif spec.clip_value is not None:
        nn.utils.clip_grad_value_(trained, spec.clip_value)
    with torch.enable_grad():
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)


_SETTINGS: Final = ("momentum", "nesterov", "betas", "alpha", "weight_decay", "decoupled_weight_decay")
_UNFIT: Final = "the optimizer's state in the checkpoint does not fit the job"


def optimizer_tensors(optimizer: Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return an optimizer's state as named tensors and JSON.

    Returns:
        The tensors (not copies) by names ``state.<parameter's index>.<key>``, and a JSON document with the
        settings of the parameter groups and the rest of the state.
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
    """Load a state of `optimizer_tensors` into an optimizer.

    Raises:
        CheckpointError: the state is incomplete, or of an optimizer with other parameters or settings.
    """
    state = {int(index): dict(entries) for index, entries in document["state"].items()}
    for name, tensor in tensors.items():
        _, index, key = name.split(".", maxsplit=2)
        state.setdefault(int(index), {})[key] = tensor.clone()
    groups = [{key: _from_json(value) for key, value in group.items()} for group in document["param_groups"]]
    _check_settings(optimizer, groups)
    _check_state(optimizer, state)
    try:
        optimizer.load_state_dict({"state": state, "param_groups": groups})
    except ValueError as error:
        raise CheckpointError(f"{_UNFIT}: {error}") from error


def _check_settings(optimizer: Optimizer, groups: list[dict[str, Any]]) -> None:
    """Compare with the job's settings, which loading would replace; the learning rate is set at each step."""
    for wanted, kept in zip(optimizer.param_groups, groups, strict=False):
        for name in _SETTINGS:
            if kept.get(name) != wanted.get(name):
                raise CheckpointError(
                    f"{_UNFIT}: its {name} is {kept.get(name)}, the job's {type(optimizer).__name__} has "
                    f"{wanted.get(name)}"
                )


def _check_state(optimizer: Optimizer, state: Mapping[int, Mapping[str, Any]]) -> None:
    """Check names and shapes of the tensors, which torch does not check."""
    parameters = [
        (parameter, _state_names(group)) for group in optimizer.param_groups for parameter in group["params"]
    ]
    for index, entries in state.items():
        if index >= len(parameters):
            raise CheckpointError(
                f"{_UNFIT}: it has a parameter {index}, the job's optimizer only {len(parameters)} parameters"
            )
        parameter, names = parameters[index]
        for name in names - entries.keys():
            raise CheckpointError(f"{_UNFIT}: the tensor state.{index}.{name} is missing")
        for name, value in entries.items():
            shape = value.shape if isinstance(value, Tensor) else ()
            if shape not in {(), parameter.shape}:
                raise CheckpointError(
                    f"{_UNFIT}: the tensor state.{index}.{name} has the shape {list(shape)}, its parameter "
                    f"{list(parameter.shape)}"
                )


def _state_names(group: Mapping[str, Any]) -> set[str]:
    """Return the names of the values that an optimizer stores for an updated parameter."""
    if "betas" in group:
        return {"step", "exp_avg", "exp_avg_sq"} | ({"max_exp_avg_sq"} if group.get("amsgrad") else set())
    momentum = {"momentum_buffer"} if group["momentum"] else set()
    return momentum | ({"step", "square_avg"} if "alpha" in group else set())


def _to_json(value: object) -> object:
    """Mark tuples, which JSON would convert to lists."""
    return {"tuple": list(value)} if isinstance(value, tuple) else value


def _from_json(value: object) -> object:
    return tuple(value["tuple"]) if isinstance(value, dict) else value
