"""Trace a network down to the cut layer with torch.fx."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.fx import Graph, Node, Proxy, Tracer

from pslgs.spec.entrypoints import user_code
from pslgs.spec.errors import InputError
from pslgs.splitting.outputs import logits_of
from pslgs.splitting.train_mode import set_mode

CUT_LAYER = "spec.model.cutLayer"

_WAY_OUT = "or set architecture to a package.module:function that returns the two parts"
_CONSTANT = "_tensor_constant"  # torch.fx's name for tensors that a forward creates


def trace(network: nn.Module, cut_layer: str, inputs: Sequence[str] = ()) -> Graph:
    """Trace the forward of a network with its inputs; other arguments have their defaults.

    Args:
        network: The whole network.
        cut_layer: Dotted name of the layer down to which the network is traced.
        inputs: Names of several inputs; without them, there is one, the first argument.

    Raises:
        InputError: a module that contains the cut layer cannot be traced, draws random numbers, or does
            different operations in training and in evaluation.
    """
    with set_mode(network, training=False):
        evaluation = _signature(network, _record(network, cut_layer, inputs))
        _remove_constants(network)
    with set_mode(network, training=True):
        graph = _record(network, cut_layer, inputs)
    training = _signature(network, graph)
    if training != evaluation:
        raise InputError.at(CUT_LAYER, _mode_problem(graph, training, evaluation))
    return graph


class _CutTracer(Tracer):
    """A tracer that enters only modules which contain the cut layer.

    Attributes:
        within: Dotted name of the module whose forward is being traced; empty for the whole network.
    """

    # Without this, a buffer that a forward slices would be recorded as a constant.
    proxy_buffer_attributes = True

    def __init__(self, cut_layer: str, inputs: Sequence[str]) -> None:
        super().__init__()
        self._cut_layer = cut_layer
        self._inputs = inputs
        self.within = ""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:  # noqa: ARG002 (torch's signature)
        return not self._cut_layer.startswith(f"{module_qualified_name}.")

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:  # noqa: ANN401 (torch's signature)
        name = self.path_of_module(m)
        if self.is_leaf_module(m, name):
            return super().call_module(m, forward, args, kwargs)
        outer, self.within = self.within, name
        result = super().call_module(m, forward, args, kwargs)
        self.within = outer
        return result

    def create_args_for_root(
        self,
        root_fn: Callable[..., Any],
        is_module: bool,  # noqa: ARG002, FBT001 (torch's signature)
        concrete_args: dict[str, Any] | tuple[Any, ...] | None = None,  # noqa: ARG002 (torch's signature)
    ) -> tuple[Any, list[Any]]:
        def forward(root: nn.Module, *samples: Proxy) -> object:
            if not self._inputs:
                return logits_of(root_fn(root, *samples))
            return logits_of(root_fn(root, **dict(zip(self._inputs, samples, strict=True))))

        names = self._inputs or ("samples",)
        return forward, [self.root, *(self.create_proxy("placeholder", name, (), {}) for name in names)]


def _record(network: nn.Module, cut_layer: str, inputs: Sequence[str]) -> Graph:
    tracer = _CutTracer(cut_layer, inputs)
    with torch.random.fork_rng(devices=[]):
        random_state = torch.get_rng_state()
        # A forward may raise anything when it gets a proxy instead of a tensor.
        with user_code(CUT_LAYER, lambda cause: _trace_problem(tracer.within, cut_layer, cause)):
            graph = tracer.trace(network)
        if not torch.equal(random_state, torch.get_rng_state()):
            problem = (
                f"{_forward_of('')} draws random numbers outside its layers, which a cut at '{cut_layer}' "
                f"would make constant; draw them in a separate layer (like nn.Dropout), {_WAY_OUT}."
            )
            raise InputError.at(CUT_LAYER, problem)
    return graph


def _signature(network: nn.Module, graph: Graph) -> list[tuple[str, ...]]:
    """Return a description of each node; equal descriptions mean equal operations."""
    return [
        (node.op, repr(node.target), repr(node.args), repr(node.kwargs), _constant(network, node))
        for node in graph.nodes
    ]


def _constant(network: nn.Module, node: Node) -> str:
    is_constant = node.op == "get_attr" and str(node.target).startswith(_CONSTANT)
    return repr(getattr(network, str(node.target)).tolist()) if is_constant else ""


def _remove_constants(network: nn.Module) -> None:
    for name in [name for name in vars(network) if name.startswith(_CONSTANT)]:
        delattr(network, name)


def _forward_of(module_name: str) -> str:
    return f"the forward of '{module_name}'" if module_name else "the model's own forward"


def _trace_problem(within: str, cut_layer: str, cause: str) -> str:
    if within:
        advice = f"cut after '{within}' as a whole"
    else:
        advice = "move operations that depend on values into a separate layer"
    return (
        f"{_forward_of(within)} cannot be traced to cut it at '{cut_layer}' ({cause}); {advice}, {_WAY_OUT}."
    )


def _mode_problem(graph: Graph, training: list[tuple[str, ...]], evaluation: list[tuple[str, ...]]) -> str:
    pairs = zip(graph.nodes, training, [*evaluation, *training[len(evaluation) :]], strict=False)
    first = next((node for node, here, there in pairs if here != there), None)
    owner = _owner(first) if first else ""
    return (
        f"{_forward_of(owner)} does different operations in training and in evaluation, which cannot be cut; "
        f"move them into a separate layer (like nn.Dropout), {_WAY_OUT}."
    )


def _owner(node: Node) -> str:
    """Return the name of the module whose forward created ``node``; empty for the whole network."""
    stack = [name for name, _ in node.meta.get("nn_module_stack", {}).values()]
    owners = stack[:-1] if node.op == "call_module" else stack
    return owners[-1] if owners else ""
