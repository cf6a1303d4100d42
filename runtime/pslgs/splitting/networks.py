"""Built-in networks: a small MLP and CNN for examples, and the ResNet-18 of arXiv 2407.15738."""

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn


def mlp(inputs: int, hidden: Sequence[int], outputs: int, dropout: float = 0.0) -> nn.Module:
    """Build a multilayer perceptron with ReLU activations.

    Possible cut layers: ``flatten``, ``hidden1``, ``hidden2`` …, ``output``.

    Args:
        inputs: Number of elements of a sample, which may have any shape.
        hidden: Number of units of each hidden layer.
        outputs: Number of outputs.
        dropout: Dropout probability after each hidden layer; 0 for no dropout.
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
    """Build a convolutional network of three blocks and a linear classifier, for images of 8×8 or more.

    Possible cut layers: ``conv1``, ``conv2``, ``conv3``, ``head``.

    Args:
        channels: Number of channels of an image.
        classes: Number of outputs.
        width: Number of channels of the first block; the others have 2 and 4 times as many.
        image: Shape to which flat samples are reshaped, e.g. ``[1, 8, 8]`` for the 64 values of a digit;
            None if samples are images.
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
    """Build a block that halves the image: convolution, BatchNorm, ReLU, max-pooling."""
    return nn.Sequential(
        nn.Conv2d(channels, filters, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(filters),
        nn.ReLU(),
        nn.MaxPool2d(2),
    )


def resnet18_cifar(num_classes: int = 10) -> nn.Module:
    """Build ResNet-18 for 32×32 images as in arXiv 2407.15738: 3×3 stem of stride 1, no max-pooling.

    The layers have torchvision's names; ``maxpool`` is an identity.  Cut at ``layer1``, the smashed data have
    the shape (64, 32, 32).

    Args:
        num_classes: Number of outputs.
    """
    from torchvision.models import resnet18

    network: nn.Module = resnet18(num_classes=num_classes)
    network.conv1 = nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=1, bias=False)
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    network.maxpool = nn.Identity()
    return network
