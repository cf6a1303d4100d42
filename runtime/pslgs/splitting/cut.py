"""Assign each operation to the client or the server part, and find the tensors that cross the cut."""

import operator
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from torch.fx import Graph, Node

from pslgs.spec.errors import InputError
from pslgs.splitting.trace import CUT_LAYER

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


@dataclass(frozen=True, slots=True)
class Cut:
    """The operations of a network, assigned to client and server.

    Attributes:
        client: Operations of the client, in order.
        crossing: Results of these that the server needs, in order: the smashed data.
        server: Operations of the server, in order, including the output.
    """

    client: tuple[Node, ...]
    crossing: tuple[Node, ...]
    server: tuple[Node, ...]


def cut_at(graph: Graph, cut_layer: str, *, one_input: bool = True) -> Cut:
    """Assign the operations up to the last one of ``cut_layer`` to the client, and the rest to the server.

    Later operations without parameters are assigned to the client, too, if they need more than tensors from
    it: an element of a tuple, or a size that cannot be derived from the smashed data.

    Args:
        graph: The traced network.
        cut_layer: Dotted name of the last layer of the client part.
        one_input: Whether the network has one input, which must not cross the cut itself; some of several
            may, see `pslgs.splitting.disclosure`.

    Raises:
        InputError: the layer is never called, no tensor crosses the cut, or the samples themselves or a
            value other than a tensor would have to cross it.
    """
    nodes = list(graph.nodes)
    client = set(nodes[: _last_call(nodes, cut_layer) + 1])
    # The size of a client's tensor is computed at the client, even if the forward reads it after the cut.
    client |= {node for node in nodes if is_static(node) and _depends_on_shapes_of(node, client)}
    moved = _next_to_move(nodes, client)
    while moved is not None:
        client.add(moved)
        moved = _next_to_move(nodes, client)
    crossing = _crossing(nodes, client)
    server = [node for node in nodes if node not in client]
    _check(crossing, server, client, cut_layer, one_input=one_input)
    return Cut(tuple(node for node in nodes if node in client), crossing, tuple(server))


def _last_call(nodes: list[Node], cut_layer: str) -> int:
    calls = [
        position
        for position, node in enumerate(nodes)
        if node.op == "call_module" and f"{node.target}.".startswith(f"{cut_layer}.")
    ]
    if not calls:
        problem = (
            f"the forward never calls the layer '{cut_layer}' itself; cut at the layer that contains it."
        )
        raise InputError.at(CUT_LAYER, problem)
    return calls[-1]


def _crossing(nodes: Iterable[Node], client: set[Node]) -> tuple[Node, ...]:
    """Return the client's tensors that the server uses; parameters (get_attr) belong to the side of use."""
    return tuple(
        node
        for node in nodes
        if node in client
        and node.op != "get_attr"
        and not is_static(node)
        and any(user not in client for user in node.users)
    )


def _next_to_move(nodes: list[Node], client: set[Node]) -> Node | None:
    """Return the first operation that must move to the client because its inputs cannot cross the cut."""
    crossing = _crossing(nodes, client)
    for node in nodes:
        sources = node.all_input_nodes
        movable = (
            node.op in ("call_function", "call_method")
            and all(source in client or source.op == "get_attr" for source in sources)
            and any(
                source in client and source.op != "get_attr" and not is_static(source) for source in sources
            )
        )
        if node in client or not movable:
            continue
        needs_size = any(is_static(source) and not is_recomputable(source, crossing) for source in sources)
        if needs_size or _is_element(node):
            return node
    return None


def _depends_on_shapes_of(static: Node, client: set[Node]) -> bool:
    """Return whether a static node depends on the shapes of the client's tensors only."""
    return all(
        source in client or (is_static(source) and _depends_on_shapes_of(source, client))
        for source in static.all_input_nodes
    )


def _is_element(node: Node) -> bool:
    """Return whether ``node`` is an element of a tuple or other container that a layer returned."""
    if node.target is not operator.getitem or not isinstance(node.args[1], int | str):
        return False
    source = node.args[0]
    return isinstance(source, Node) and (source.op == "call_module" or _is_element(source))


def _check(
    crossing: tuple[Node, ...], server: list[Node], client: set[Node], cut_layer: str, *, one_input: bool
) -> None:
    if not crossing:
        problem = f"no result of the layers up to '{cut_layer}' is used after it; cut at another layer."
        raise InputError.at(CUT_LAYER, problem)
    if one_input and any(node.op == "placeholder" for node in crossing):
        problem = (
            f"after '{cut_layer}' the network still uses the samples themselves, which must not leave "
            "the client; cut at a later layer."
        )
        raise InputError.at(CUT_LAYER, problem)
    for node in server:
        for source in node.all_input_nodes:
            if source in client and is_static(source) and not is_recomputable(source, crossing):
                problem = (
                    f"'{node.target}' after '{cut_layer}' needs a size that is computed before it "
                    f"('{source.name}') and is not a size of the smashed data; cut at another layer."
                )
                raise InputError.at(CUT_LAYER, problem)
