"""Build the two parts as torch.fx graphs that keep the original parameter names."""

from torch import nn
from torch.fx import Graph, GraphModule, Node

from pslgs.splitting.cut import Cut, is_static, recompute


def client_network(network: nn.Module, division: Cut) -> nn.Module:
    """Build the client part, which maps samples to the crossing tensors (a tuple if there are several)."""
    graph = Graph()
    copies: dict[Node, Node] = {}
    client = set(division.client)
    for node in division.client:
        if node.op != "get_attr" or any(user in client for user in node.users):
            copies[node] = graph.node_copy(node, copies.__getitem__)
    outputs = tuple(copies[node] for node in division.crossing)
    graph.output(outputs if len(outputs) > 1 else outputs[0])
    return GraphModule(network, graph, "ClientPart")


def server_network(network: nn.Module, division: Cut) -> nn.Module:
    """Build the server part, which maps the crossing tensors, as separate arguments, to the output."""
    graph = Graph()
    inputs = [graph.placeholder(node.name) for node in division.crossing]
    copies = {
        node: _cloned_if_written(graph, node, received, network)
        for node, received in zip(division.crossing, inputs, strict=True)
    }
    first = inputs[0]
    for node in division.server:
        for source in node.all_input_nodes:
            if source.op == "get_attr" and source not in copies:
                copies[source] = graph.node_copy(source)
            elif is_static(source) and source not in copies:
                copies[source] = recompute(source, graph, copies, first)
        copies[node] = graph.node_copy(node, copies.__getitem__)
    return GraphModule(network, graph, "ServerPart")


def _cloned_if_written(graph: Graph, node: Node, received: Node, network: nn.Module) -> Node:
    """Clone an input that the server changes in place, which autograd forbids for leaf tensors."""
    return graph.call_method("clone", (received,)) if _is_written(node, network) else received


def _is_written(node: Node, network: nn.Module) -> bool:
    """Return whether an operation changes ``node``, or a possible view of it, in place."""
    return any(
        _writes(user, node, network) or (_views(user, network) and _is_written(user, network))
        for user in node.users
    )


def _writes(user: Node, node: Node, network: nn.Module) -> bool:
    if user.op == "call_module":
        return _writes_its_input(network.get_submodule(str(user.target)))
    is_in_place = user.op == "call_method" and str(user.target).endswith("_")
    return (is_in_place or bool(user.kwargs.get("inplace"))) and bool(user.args) and user.args[0] is node


def _writes_its_input(layer: nn.Module) -> bool:
    """Return whether ``layer``, or the first of its children that has an effect, works in place."""
    if getattr(layer, "inplace", False):
        return True
    for child in layer.children():
        if _writes_its_input(child):
            return True
        if not _is_parameter_free(child):
            return False
    return False


def _is_parameter_free(layer: nn.Module) -> bool:
    return next(layer.parameters(), None) is None


def _views(user: Node, network: nn.Module) -> bool:
    """Return whether the result may share memory with the argument; assumed for all without parameters."""
    if user.op == "call_module":
        return _is_parameter_free(network.get_submodule(str(user.target)))
    return user.op in ("call_function", "call_method")
