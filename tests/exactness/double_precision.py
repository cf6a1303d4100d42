"""A small convolutional network in float64, and images for it; named by manifests as entry points."""

from collections import OrderedDict

import numpy as np
import torch
from torch import nn

CLASSES = 4
SAMPLES = 60


class Residual(nn.Module):
    """A skip over the cut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + self.second(torch.relu(self.norm(self.first(x)))))


def network() -> nn.Module:
    """BatchNorm on both sides of every cut.

    No bias before a normalisation: its gradient would be nothing but rounding, which AdamW scales up.
    """
    return nn.Sequential(
        OrderedDict(
            stem=nn.Sequential(nn.Conv2d(1, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU()),
            block=Residual(6),
            pool=nn.Sequential(nn.Conv2d(6, 8, 3, stride=2, bias=False), nn.BatchNorm2d(8), nn.ReLU()),
            head=nn.Sequential(nn.Flatten(), nn.Linear(8 * 9, CLASSES)),
        )
    ).double()


class Images:
    """``SAMPLES`` noisy images of 8×8, their class in the brightness of a corner."""

    def __init__(self) -> None:
        rng = np.random.default_rng(3)
        self.labels = rng.integers(0, CLASSES, SAMPLES)
        self._images = rng.normal(size=(SAMPLES, 1, 8, 8)).astype(np.float32)
        self._images[:, 0, 0, 0] += self.labels

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.from_numpy(self._images[index]), int(self.labels[index])
