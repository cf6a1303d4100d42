"""The networks of this project that torchvision lacks: small ones for a first try, and the paper's."""

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn


def mlp(inputs: int, hidden: Sequence[int], outputs: int, dropout: float = 0.0) -> nn.Module:
    """Fully connected layers with ReLU between them, for samples of any shape with ``inputs`` elements.

    Layers to cut at: ``flatten``, ``hidden1``, ``hidden2`` …, ``output``.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    width = inputs
    for number, units in enumerate(hidden, start=1):
        regularizer = [nn.Dropout(dropout)] if dropout else []
        layers[f"hidden{number}"] = nn.Sequential(nn.Linear(width, units), nn.ReLU(), *regularizer)
        width = units
    layers["output"] = nn.Linear(width, outputs)
    return nn.Sequential(layers)


def cnn(
    channels: int = 3, classes: int = 10, width: int = 32, image: Sequence[int] | None = None
) -> nn.Module:
    """Three convolutional blocks of ``width``, 2 and 4 times ``width`` channels, for images of 8×8 or more.

    Where samples are flat, ``image`` is the shape they get first: ``[1, 8, 8]`` of the 64 values of a digit.
    Layers to cut at: ``conv1``, ``conv2``, ``conv3``, ``head``.
    """
    unflattened = OrderedDict() if image is None else OrderedDict(image=nn.Unflatten(1, tuple(image)))
    return nn.Sequential(
        OrderedDict(
            **unflattened,
            conv1=_convolution(channels, width),
            conv2=_convolution(width, 2 * width),
            conv3=_convolution(2 * width, 4 * width),
            head=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * width, classes)),
        )
    )


def _convolution(channels: int, filters: int) -> nn.Module:
    """Halve the image: convolution, BatchNorm, ReLU, pooling."""
    return nn.Sequential(
        nn.Conv2d(channels, filters, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(filters),
        nn.ReLU(),
        nn.MaxPool2d(2),
    )


def resnet18_cifar(num_classes: int = 10) -> nn.Module:
    """ResNet-18 for 32×32 images: a 3×3 stem of stride 1 and no max-pooling, as in arXiv 2407.15738.

    The layers keep torchvision's names (``layer1`` gives 64×32×32 smashed data); ``maxpool`` does nothing.
    """
    from torchvision.models import resnet18

    network: nn.Module = resnet18(num_classes=num_classes)
    network.conv1 = nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=1, bias=False)
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    network.maxpool = nn.Identity()
    return network
