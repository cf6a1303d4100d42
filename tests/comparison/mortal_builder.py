"""Networks whose building ends the process."""

import os
from pathlib import Path

from torch import nn


def network():
    os._exit(77)


def network_after_a_death(marker: str) -> nn.Module:
    """Build a network, but end the process that is the first to call this."""
    try:
        Path(marker).touch(exist_ok=False)
    except FileExistsError:
        return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    os._exit(77)
