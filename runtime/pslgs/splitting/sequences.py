"""The project's own networks for series over time and for tokens."""

from collections import OrderedDict

from torch import Tensor, nn


def series_cnn(channels: int, outputs: int, width: int = 16) -> nn.Module:
    """Build a convolutional network of three blocks over time, for series of 64 steps or more.

    Possible cut layers: ``conv1``, ``conv2``, ``conv3``, ``head``.

    Args:
        channels: Number of channels of a series, whose samples have the shape (channels, time).
        outputs: Number of outputs.
        width: Number of channels of the first block; the others have 2 and 4 times as many.
    """
    return nn.Sequential(
        OrderedDict(
            conv1=_convolution(channels, width),
            conv2=_convolution(width, 2 * width),
            conv3=_convolution(2 * width, 4 * width),
            head=nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4 * width, outputs)),
        )
    )


def _convolution(channels: int, filters: int) -> nn.Module:
    """Build a block that quarters the length: convolution of stride 2, BatchNorm, ReLU, max-pooling."""
    return nn.Sequential(
        nn.Conv1d(channels, filters, kernel_size=7, stride=2, padding=3, bias=False),
        nn.BatchNorm1d(filters),
        nn.ReLU(),
        nn.MaxPool1d(2, ceil_mode=True),
    )


def text_cnn(tokens: int, outputs: int, embedding: int = 32, width: int = 64) -> nn.Module:
    """Build a text classifier: embedding, convolution over three tokens, maximum over the text, linear layer.

    Samples are integers of shape (length,), which need ``spec.data.inputType: Integer``.  The embedding of 0
    is zero and stays so, for texts that are filled up to a common length.

    Possible cut layers: ``embedding``, ``conv``, ``head``.

    Args:
        tokens: Number of different tokens, 0 included.
        outputs: Number of outputs.
        embedding: Number of elements of a token's embedding.
        width: Number of filters.
    """
    return nn.Sequential(
        OrderedDict(
            embedding=nn.Sequential(nn.Embedding(tokens, embedding, padding_idx=0), _ChannelsFirst()),
            conv=nn.Sequential(nn.Conv1d(embedding, width, kernel_size=3, padding=1), nn.ReLU()),
            head=nn.Sequential(nn.AdaptiveMaxPool1d(1), nn.Flatten(), nn.Linear(width, outputs)),
        )
    )


class _ChannelsFirst(nn.Module):
    """Moves the elements of embeddings before the tokens, where a convolution expects channels."""

    def forward(self, embedded: Tensor) -> Tensor:
        return embedded.transpose(1, 2)
