"""Networks with all their kinds of layers, but few channels, for tests that take them apart."""

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


def narrow_vgg11_bn(num_classes: int) -> nn.Module:
    """VGG-11 without the hundred million weights of its first two linear layers."""
    network = models.vgg11_bn(num_classes=num_classes, init_weights=False)
    network.classifier[0] = nn.Linear(512 * 7 * 7, 16)
    network.classifier[3] = nn.Linear(16, 16)
    network.classifier[6] = nn.Linear(16, num_classes)
    return network


def narrow_vit_b_16(num_classes: int) -> nn.Module:
    """ViT-B/16 with 3 of its 12 layers, a twelfth of its width, and a head that is not zero at the start."""
    network = models.VisionTransformer(
        image_size=48,
        patch_size=16,
        num_layers=3,
        num_heads=4,
        hidden_dim=64,
        mlp_dim=256,
        num_classes=num_classes,
    )
    nn.init.normal_(network.heads.head.weight)
    return network


def narrow_resnet18_cifar(num_classes: int) -> nn.Module:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "resnet18", NarrowResNet)
        return resnet18_cifar(num_classes)
