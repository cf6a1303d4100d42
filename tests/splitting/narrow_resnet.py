"""The network of the paper with few channels, for tests that take it apart at every layer."""

from typing import Any

import pytest
from torch import nn
from torchvision import models
from torchvision.models.resnet import BasicBlock

from pslgs.splitting.architectures import resnet18_cifar


class NarrowResNet(models.ResNet):
    """ResNet-18 in which no layer has more than the 64 channels of the first: a twentieth of the weights."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(BasicBlock, [2, 2, 2, 2], num_classes)
        self.fc = nn.Linear(64, num_classes)

    def _make_layer(self, block: Any, planes: int, *arguments: Any, **options: Any) -> nn.Sequential:
        return super()._make_layer(block, min(planes, 64), *arguments, **options)


def narrow_resnet18_cifar(num_classes: int) -> nn.Module:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "resnet18", NarrowResNet)
        return resnet18_cifar(num_classes)
