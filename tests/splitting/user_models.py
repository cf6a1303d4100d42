"""Networks as users write them: some can be cut, some must be refused for a reason."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Chain(nn.Module):
    """Three linear layers; what lies between them is the subclass's affair."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.second = nn.Linear(6, 6)
        self.third = nn.Linear(6, 2)


class BatchSizeOfTheInput(Chain):
    def forward(self, samples: Tensor, scale: float | None = None) -> Tensor:
        batch = samples.shape[0]
        hidden = self.first(samples.view(samples.size(0), 6))
        return self.third(self.second(hidden).view(batch, -1)) * (1.0 if scale is None else scale)


class SizesThatTheSmashedDataTell(Chain):
    def forward(self, samples: Tensor) -> Tensor:
        hidden = self.first(samples)
        rows, columns = hidden.shape
        return self.third(self.second(hidden).reshape(rows, 2, columns // 2).flatten(1))


class SizesOfTheSamplesOnly(nn.Module):
    """Cut after ``patches``, the client must reshape, for the server cannot know height and width."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 4, kernel_size=2, stride=2)
        self.head = nn.Linear(4, 2)

    def forward(self, samples: Tensor) -> Tensor:
        batch, _, height, width = samples.shape
        patches = self.patches(samples)
        return self.head(patches.reshape(batch, 4, (height // 2) * (width // 2)).mean(dim=2))


class SizesNeededByALayer(nn.Module):
    class Head(nn.Linear):
        def forward(self, input: Tensor, width: int) -> Tensor:
            return super().forward(input) / width

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv1d(1, 4, kernel_size=2, stride=2)
        self.head = self.Head(4, 2)

    def forward(self, samples: Tensor) -> Tensor:
        return self.head(self.patches(samples).mean(dim=2), samples.shape[2])


class TupleFromALayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.recurrent = nn.LSTM(3, 4, batch_first=True)
        self.head = nn.Linear(4, 2)

    def forward(self, samples: Tensor) -> Tensor:
        sequence, _ = self.recurrent(samples)
        return self.head(sequence.mean(dim=1))


class SequenceFirst(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.recurrent = nn.LSTM(3, 4)
        self.head = nn.Linear(4, 2)

    def forward(self, samples: Tensor) -> Tensor:
        return self.head(self.recurrent(samples.transpose(0, 1))[0].mean(dim=0))


class WritesInPlace(Chain):
    def forward(self, samples: Tensor) -> Tensor:
        hidden = self.first(samples)
        hidden.flatten(1).mul_(2.0)
        skip = self.second(hidden)
        functional.relu(skip, inplace=True)
        return self.third(skip + hidden)


class LayerThatWritesInPlace(Chain):
    def __init__(self) -> None:
        super().__init__()
        self.second = nn.Sequential(nn.Identity(), nn.ReLU(inplace=True), nn.Linear(6, 6))

    def forward(self, samples: Tensor) -> Tensor:
        return self.third(self.second(self.first(samples)))


class SlicedBuffer(Chain):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("offsets", torch.arange(12.0))
        self.never_used = nn.Linear(3, 3)

    def forward(self, samples: Tensor) -> Tensor:
        hidden = self.first(samples)
        return self.third(self.second(hidden + self.offsets[: hidden.shape[1]]))


class BufferSlicedLikeTheSamples(Chain):
    def forward(self, samples: Tensor) -> Tensor:
        hidden = self.first(samples)
        return self.third(self.second(hidden) + self.third.weight[0, : samples.shape[1]])


class ControlFlow(Chain):
    def forward(self, samples: Tensor) -> Tensor:
        hidden = self.first(samples)
        return self.third(self.second(hidden) if hidden.sum() > 0 else hidden)


class WrappedControlFlow(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = ControlFlow()
        self.head = nn.Linear(2, 2)

    def forward(self, samples: Tensor) -> Tensor:
        return self.head(self.body(samples))


class OtherInTraining(Chain):
    def forward(self, samples: Tensor) -> Tensor:
        hidden = functional.dropout(self.first(samples), 0.5, training=self.training)
        return self.third(self.second(hidden))


class OtherConstantInTraining(Chain):
    def forward(self, samples: Tensor) -> Tensor:
        return self.third(self.second(self.first(samples)) + torch.tensor(float(self.training)))


class RandomInForward(Chain):
    def forward(self, samples: Tensor) -> Tensor:
        return self.third(self.second(self.first(samples)) + torch.rand(6))


class TiedWeights(Chain):
    def __init__(self) -> None:
        super().__init__()
        self.second.weight = self.first.weight

    def forward(self, samples: Tensor) -> Tensor:
        return self.third(self.second(self.first(samples)))


class LayerUsedTwice(Chain):
    def forward(self, samples: Tensor) -> Tensor:
        return self.third(self.first(self.second(self.first(samples))))


class SamplesNeededAfterTheCut(Chain):
    def forward(self, samples: Tensor) -> Tensor:
        return self.third(self.second(self.first(samples) + samples))


class CountsItsSteps(Chain):
    class Counter(nn.Linear):
        def __init__(self) -> None:
            super().__init__(6, 6)
            self.register_buffer("steps", torch.zeros(()))

        def forward(self, input: Tensor) -> Tensor:
            self.steps += float(self.training)
            return super().forward(input)

    def __init__(self) -> None:
        super().__init__()
        self.first = self.Counter()

    def forward(self, samples: Tensor) -> Tensor:
        return self.third(self.second(self.first(samples)))


class TwoOutputs(Chain):
    def forward(self, samples: Tensor) -> dict[str, Tensor]:
        hidden = self.second(self.first(samples))
        return {"third": self.third(hidden), "second": hidden}


class HiddenInPlaceWrite(Chain):
    class Doubling(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            return super().forward(input.mul_(2.0))

    def __init__(self) -> None:
        super().__init__()
        self.second = self.Doubling(6, 6)

    def forward(self, samples: Tensor) -> Tensor:
        return self.third(self.second(self.first(samples)))


def two_parts(width: int = 8) -> tuple[nn.Module, nn.Module]:
    """A builder that cuts by itself."""
    return nn.Sequential(nn.Linear(6, width), nn.BatchNorm1d(width)), nn.Linear(width, 2)


def no_network(width: int = 8) -> int:
    return width


def meta_network() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2)).to("meta")


def nan_network() -> nn.Module:
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    nn.init.constant_(network[1].bias, float("nan"))
    return network


def untrainable_network() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2)).requires_grad_(requires_grad=False)


def lazy_network() -> nn.Module:
    return nn.Sequential(nn.LazyLinear(3), nn.Linear(3, 2))


def no_parts() -> tuple[nn.Module, ...]:
    return ()


def needs_a_width(width: int) -> nn.Module:
    return nn.Linear(width, width)


not_a_function = 3
