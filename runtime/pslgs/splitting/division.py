"""Which operations the client does, which the server does, and what crosses the cut between them."""

import operator
from collections.abc import Iterable
from dataclasses import dataclass

from torch.fx import Graph, Node

from pslgs.spec.errors import InputError
from pslgs.splitting.statics import is_recomputable, is_static
from pslgs.splitting.tracing import CUT_LAYER


@dataclass(frozen=True, slots=True)
class Division:
    """The operations of a network, divided.

    Attributes:
        client: What the client does, in order.
        crossing: Those of its tensors that the server needs, in order: the smashed data.
        server: What the server does, in order, the output included.
    """

    client: tuple[Node, ...]
    crossing: tuple[Node, ...]
    server: tuple[Node, ...]


def divide(graph: Graph, cut_layer: str) -> Division:
    """Give the client all operations up to the last one of ``cut_layer``, and the rest to the server.

    Operations without parameters that need more than tensors from the client (a tuple's element, a size that
    the smashed data do not tell) go to the client as well.

    Raises:
        InputError: the layer is never called, or nothing, the input itself or something other than tensors
            would cross the cut.
    """
    nodes = list(graph.nodes)
    client = set(nodes[: _last_call(nodes, cut_layer) + 1])
    # A size that is asked for late still belongs to the side of what it is asked of.
    client |= {node for node in nodes if is_static(node) and _is_about(node, client)}
    pulled = _next_pulled(nodes, client)
    while pulled is not None:
        client.add(pulled)
        pulled = _next_pulled(nodes, client)
    crossing = _crossing(nodes, client)
    server = [node for node in nodes if node not in client]
    _check(crossing, server, client, cut_layer)
    return Division(tuple(node for node in nodes if node in client), crossing, tuple(server))


def _last_call(nodes: list[Node], cut_layer: str) -> int:
    calls = [
        position
        for position, node in enumerate(nodes)
        if node.op == "call_module" and f"{node.target}.".startswith(f"{cut_layer}.")
    ]
    if not calls:
        problem = f"the forward never calls the layer '{cut_layer}' itself; cut at the layer around it."
        raise InputError.at(CUT_LAYER, problem)
    return calls[-1]


def _crossing(nodes: Iterable[Node], client: set[Node]) -> tuple[Node, ...]:
    """List the client's tensors with users at the server; parameters (get_attr) are where they are used."""
    return tuple(
        node
        for node in nodes
        if node in client
        and node.op != "get_attr"
        and not is_static(node)
        and any(user not in client for user in node.users)
    )


def _next_pulled(nodes: list[Node], client: set[Node]) -> Node | None:
    """Find the first server operation that the client can do and must, for its sources cannot cross."""
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
        stuck = any(is_static(source) and not is_recomputable(source, crossing) for source in sources)
        if stuck or _is_element(node):
            return node
    return None


def _is_about(static: Node, client: set[Node]) -> bool:
    """Tell whether a static node follows from the shapes of the client's tensors alone."""
    return all(
        source in client or (is_static(source) and _is_about(source, client))
        for source in static.all_input_nodes
    )


def _is_element(node: Node) -> bool:
    """Tell whether ``node`` takes an item out of what a layer returned, such as a tuple."""
    if node.target is not operator.getitem or not isinstance(node.args[1], int | str):
        return False
    source = node.args[0]
    return isinstance(source, Node) and (source.op == "call_module" or _is_element(source))


def _check(crossing: tuple[Node, ...], server: list[Node], client: set[Node], cut_layer: str) -> None:
    if not crossing:
        problem = f"nothing that is computed up to '{cut_layer}' is used after it; cut at another layer."
        raise InputError.at(CUT_LAYER, problem)
    if any(node.op == "placeholder" for node in crossing):
        problem = (
            f"after '{cut_layer}' the network still needs the samples themselves, which may not leave "
            "the client; cut at a later layer."
        )
        raise InputError.at(CUT_LAYER, problem)
    for node in server:
        for source in node.all_input_nodes:
            if source in client and is_static(source) and not is_recomputable(source, crossing):
                problem = (
                    f"'{node.target}' after '{cut_layer}' needs a size that is computed before it "
                    f"('{source.name}') and does not follow from the smashed data; cut at another layer."
                )
                raise InputError.at(CUT_LAYER, problem)
