"""Which of several inputs reach the server as they are, and the names by which a network takes them."""

import inspect
from collections.abc import Iterable, Sequence
from typing import Final

from torch import nn
from torch.fx import Node

from pslgs.spec.errors import InputError
from pslgs.spec.named_inputs import INPUTS, NamedInput
from pslgs.splitting.cut import is_static

_CONCATENATIONS: Final = frozenset(
    {"cat", "concat", "concatenate", "stack", "hstack", "vstack", "dstack", "column_stack"}
)
_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def disclosed_inputs(crossing: Iterable[Node], network: nn.Module) -> tuple[str, ...]:
    """Name the inputs whose values can be read off a crossing tensor without knowing the weights.

    These are the inputs of a crossing tensor that is computed without parameters, such as an input itself, a
    view or a conversion of it; and those of such a part of a concatenation.  What is combined otherwise with
    a result of a layer with parameters, such as a mask that it is multiplied by, does not count.

    Args:
        crossing: The tensors that cross the cut.
        network: The network that was traced.
    """
    found: set[str] = set()
    weighted: dict[Node, bool] = {}
    order: list[str] = []
    for node in _graph_of(crossing):
        own = _has_parameters(node, network)
        weighted[node] = own or any(weighted[source] for source in node.all_input_nodes)
        if node.op == "placeholder":
            order.append(str(node.target))
    waiting = list(crossing)
    while waiting:
        node = waiting.pop()
        if not weighted[node]:
            found |= _inputs_of(node)
        elif not _has_parameters(node, network) and (_is_concatenation(node) or _is_unary(node)):
            waiting += node.all_input_nodes
    return tuple(name for name in order if name in found)


def _inputs_of(node: Node) -> set[str]:
    """Return the inputs from whose values a node is computed."""
    found: set[str] = set()
    seen: set[Node] = set()
    waiting = [node]
    while waiting:
        each = waiting.pop()
        if each in seen or is_static(each):
            continue
        seen.add(each)
        if each.op == "placeholder":
            found.add(str(each.target))
        waiting += each.all_input_nodes
    return found


def _is_concatenation(node: Node) -> bool:
    return getattr(node.target, "__name__", node.target) in _CONCATENATIONS


def _is_unary(node: Node) -> bool:
    return sum(not is_static(source) for source in node.all_input_nodes) == 1


def check_names(part: nn.Module, inputs: Sequence[str], whose: str) -> None:
    """Check that the forward of a network, or of its client part, takes inputs of these names.

    Args:
        part: The network.
        inputs: Names of several inputs; empty for a single one without a name.
        whose: The network in words, for error messages.

    Raises:
        InputError: it does not take one of them, or needs others; the message lists what it takes.
    """
    try:
        arguments = inspect.signature(part.forward).parameters
    except (TypeError, ValueError):  # compiled code, which does not tell
        return
    required = [
        name for name, each in arguments.items() if each.kind in _POSITIONAL and each.default is each.empty
    ]
    listed = ", ".join(name for name, each in arguments.items() if each.kind is not each.VAR_POSITIONAL)
    if not inputs:
        if len(required) > 1:
            problem = f"is missing: the forward of {whose} takes {' and '.join(required)}; name its inputs"
            raise InputError.at(INPUTS, problem)
        return
    takes_any = any(each.kind is each.VAR_KEYWORD for each in arguments.values())
    for position, name in enumerate(inputs):
        known = name in arguments and arguments[name].kind is not inspect.Parameter.POSITIONAL_ONLY
        if not known and not takes_any:
            raise InputError.at(
                f"{INPUTS}[{position}].name",
                f"is '{name}', which the forward of {whose} does not take; it takes {listed}",
            )
    lacking = [name for name in required if name not in inputs]
    if lacking:
        raise InputError.at(INPUTS, f"lacks '{lacking[0]}', which the forward of {whose} needs")


def check_disclosure(disclosed: Sequence[str], inputs: Sequence[NamedInput]) -> None:
    """Check that all inputs which reach the server as they are may do so.

    Raises:
        InputError: one may not.
    """
    for position, each in enumerate(inputs):
        if each.name in disclosed and not each.may_leave_site:
            raise InputError.at(
                f"{INPUTS}[{position}]",
                f"is '{each.name}', whose values would leave the site: the model uses them behind the cut "
                "layer, and not only what a layer with parameters made of them; cut at a later layer, give "
                "the input a layer of its own before the cut, or set mayLeaveSite: true",
            )


def _has_parameters(node: Node, network: nn.Module) -> bool:
    if any(_is_parameter(source, network) for source in node.all_input_nodes):
        return True
    if node.op != "call_module":
        return False
    return next(network.get_submodule(str(node.target)).parameters(), None) is not None


def _is_parameter(node: Node, network: nn.Module) -> bool:
    """Return whether a node is a weight; a buffer or constant, such as a mean, hides no values."""
    if node.op != "get_attr":
        return False
    return any(name == node.target for name, _ in network.named_parameters(remove_duplicate=False))


def _graph_of(crossing: Iterable[Node]) -> list[Node]:
    return next((list(node.graph.nodes) for node in crossing), [])
