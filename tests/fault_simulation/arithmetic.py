"""A model of two weights in float64, whose distributed step and centralized step agree to the bit.

A sample is (x, y).  The client part computes s = a·x, the server part p = b·s, and the loss of a batch of B
is the mean of (p − y)²/2.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

LEARNING_RATE = 0.05
_PRIME = 2_147_483_647


class Weights(NamedTuple):
    """Weights of the client part and of the server part."""

    a: float
    b: float


INITIAL = Weights(0.3, -0.2)


def sample(client: str, epoch: int, position: int) -> tuple[float, float]:
    """Return the sample at a position of a client's order in an epoch; no two are equal."""
    number = (sum(client.encode()) * 7919 + epoch * 104_729 + position * 1_299_709) % _PRIME
    return number * 48_271 % _PRIME / _PRIME - 0.5, number * 69_621 % _PRIME / _PRIME - 0.5


def samples(client: str, epoch: int, offset: int, count: int) -> list[tuple[float, float]]:
    """Return a client's samples from ``offset`` on."""
    return [sample(client, epoch, position) for position in range(offset, offset + count)]


def forward(a: float, batch: Iterable[tuple[float, float]]) -> list[float]:
    """Return the smashed data of a local batch."""
    return [a * x for x, _ in batch]


class ServerStep(NamedTuple):
    """What the server part computes from a global batch."""

    loss: float
    cut_gradient: list[float]
    b_gradient: float


def server_step(b: float, smashed: Sequence[float], targets: Sequence[float]) -> ServerStep:
    """Run the server part forward and backward."""
    count = len(smashed)
    errors = [b * s - y for s, y in zip(smashed, targets, strict=True)]
    loss = sum(error * error for error in errors) / (2 * count)
    b_gradient = sum(error * s for error, s in zip(errors, smashed, strict=True)) / count
    return ServerStep(loss, [error * b / count for error in errors], b_gradient)


def client_gradient(cut_gradient: Iterable[float], batch: Iterable[tuple[float, float]]) -> float:
    """Return a client's gradient of a, given the rows of the cut gradient for its local batch."""
    return sum(g * x for g, (x, _) in zip(cut_gradient, batch, strict=True))


def updated(weights: Weights, client_gradients: Iterable[float], b_gradient: float) -> Weights:
    """Return the weights after a step of gradient descent."""
    return Weights(weights.a - LEARNING_RATE * sum(client_gradients), weights.b - LEARNING_RATE * b_gradient)


def centralized_step(weights: Weights, epoch: int, batches: Sequence[tuple[str, int, int]]) -> Weights:
    """Return the weights after a step on one machine.

    Args:
        weights: The weights before it.
        epoch: The epoch.
        batches: Client, offset and number of samples of each local batch.
    """
    parts = [samples(client, epoch, offset, count) for client, offset, count in batches]
    rows = [row for part in parts for row in part]
    step = server_step(weights.b, forward(weights.a, rows), [y for _, y in rows])
    gradients, first = [], 0
    for part in parts:
        gradients.append(client_gradient(step.cut_gradient[first : first + len(part)], part))
        first += len(part)
    return updated(weights, gradients, step.b_gradient)
