"""Static operations, which depend on shapes only and can be recomputed on the other side of the cut."""

import operator
from collections.abc import Collection, Mapping

from torch.fx import Graph, Node

_ATTRIBUTES = frozenset({"shape", "ndim", "dtype", "device", "layout", "is_cuda", "requires_grad"})
_METHODS = frozenset({"size", "dim", "ndimension", "numel", "nelement", "stride", "get_device"})
_ARITHMETIC = frozenset({"_operator", "math", "builtins"})


def is_static(node: Node) -> bool:
    """Return whether ``node`` depends on shapes, types and devices of tensors only, not on their values."""
    if asks_a_tensor(node):
        return True
    module = getattr(node.target, "__module__", None)
    arithmetic = node.op == "call_function" and module in _ARITHMETIC
    return (
        arithmetic
        and bool(node.all_input_nodes)
        and all(is_static(source) for source in node.all_input_nodes)
    )


def asks_a_tensor(node: Node) -> bool:
    """Return whether ``node`` reads a property of a tensor, such as ``x.shape`` or ``x.size(0)``."""
    if node.op == "call_method":
        return node.target in _METHODS
    return node.op == "call_function" and node.target is getattr and node.args[1] in _ATTRIBUTES


def is_recomputable(node: Node, tensors: Collection[Node]) -> bool:
    """Return whether a static ``node`` can be computed from ``tensors``, which cross the cut."""
    if is_batch_size(node):
        return bool(tensors)
    if asks_a_tensor(node):
        return node.args[0] in tensors
    return all(is_recomputable(source, tensors) for source in node.all_input_nodes)


def is_batch_size(node: Node) -> bool:
    """Return whether ``node`` is the batch size: ``size(0)`` or ``shape[0]`` of the network's input."""
    if node.op == "call_method" and node.target == "size":
        return node.args[1:] == (0,) and _is_input(node.args[0])
    indexed = node.op == "call_function" and node.target is operator.getitem and node.args[1] == 0
    source = node.args[0] if indexed else None
    return (
        isinstance(source, Node)
        and asks_a_tensor(source)
        and source.target in (getattr, "size")
        and source.args[1:] in ((), ("shape",))
        and _is_input(source.args[0])
    )


def recompute(node: Node, graph: Graph, copies: Mapping[Node, Node], first: Node) -> Node:
    """Append the operations that recompute a static ``node`` to ``graph``, and return their result.

    Args:
        node: A node that `is_recomputable`.
        graph: Graph of the server part.
        copies: Nodes in ``graph`` by their originals; the crossing tensors are among them.
        first: Any of the crossing tensors in ``graph``, from which the batch size is read.
    """
    if is_batch_size(node):
        return graph.call_method("size", (first, 0))
    known = {
        source: copies[source] if source in copies else recompute(source, graph, copies, first)
        for source in node.all_input_nodes
    }
    return graph.node_copy(node, known.__getitem__)


def _is_input(argument: object) -> bool:
    return isinstance(argument, Node) and argument.op == "placeholder"
