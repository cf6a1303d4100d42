"""Exponential moving average of the weights."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from pslgs.splitting.split_network import SplitNetwork


class WeightAverage:
    """The average of a network's parameters and buffers, a ← decay · a + (1 − decay) · w after each step.

    After the first step it is the network itself.

    Attributes:
        network: A network with the averaged weights.
    """

    def __init__(self, network: SplitNetwork, decay: float) -> None:
        self._parts = nn.ModuleDict({"client": network.client_part, "server": network.server_part})
        average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call] # torch has no types there
        self._average = AveragedModel(self._parts, multi_avg_fn=average, use_buffers=True)
        client_part = self._average.get_submodule("module.client")
        server_part = self._average.get_submodule("module.server")
        self.network = replace(network, client_part=client_part, server_part=server_part)

    def update(self) -> None:
        """Take the present weights into the average."""
        self._average.update_parameters(self._parts)

    def state(self) -> tuple[Mapping[str, Tensor], dict[str, Any]]:
        """Return what a checkpoint contains: tensors by their names in the network, and JSON."""
        return self.network.named_tensors(), {"steps": int(self._average.n_averaged)}

    @torch.no_grad()
    def load_state(self, tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> None:
        """Continue from a `state`.

        Raises:
            InputError: the tensors are not of this network.
            KeyError: the number of steps is missing.
        """
        self.network.load_named_tensors(tensors)
        self._average.n_averaged.fill_(settings["steps"])
