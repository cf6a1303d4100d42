"""Statistics of an epoch before it is run: steps, active clients, local batches, batch deviation."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pslgs.sampling.deviation import CONFIDENCE, deviation_bound, expected_deviation
from pslgs.sampling.schedule import FixedSchedule, Schedule

_DRAWS: Final = 64
_END: Final = 0.8  # the last fifth of an epoch


@dataclass(frozen=True, slots=True, eq=False)
class DataDistribution:
    """Number of samples, and of samples of each class, at the clients.

    Attributes:
        sizes: N_k, number of samples at each client; shape (clients,).
        label_counts: Number of samples of each class; shape (clients, classes).  None if labels are not
            classes.
        origin: Source of these numbers, in words.
    """

    sizes: NDArray[np.int64]
    label_counts: NDArray[np.int64] | None
    origin: str

    @property
    def samples(self) -> int:
        """N, number of samples at all clients."""
        return int(self.sizes.sum())


@dataclass(frozen=True, slots=True)
class EpochStatistics:
    """Statistics of an epoch under one sampling strategy.

    Deviations are L1 distances (0 … 2); they are None if labels are not classes.

    Attributes:
        strategy: Name of the strategy.
        steps: Number of steps per epoch.
        batch_size: Number of samples in a step, mean over an epoch's steps.
        active_clients: Number of active clients, mean over an epoch's steps.
        largest_local_batch: Largest local batch size of a step, mean over an epoch's steps.
        peak_local_batch: Largest local batch size of an epoch, or of several drawn ones.
        deviation: Expected batch deviation, mean over the epoch.
        deviation_at_end: Expected batch deviation, mean over the last fifth of the epoch.
        deviation_bound: Bound of the batch deviation with 99 % confidence (Serfling), as long as all clients
            have samples left.
        bias: ‖Σ_k (w_k − r_k) π_k‖₁, the systematic part of the deviation, as long as all clients have
            samples left.
        small_steps: Fraction of the steps with fewer than B/2 samples.
    """

    strategy: str
    steps: int
    batch_size: float
    active_clients: float
    largest_local_batch: float
    peak_local_batch: int
    deviation: float | None
    deviation_at_end: float | None
    deviation_bound: float | None
    bias: float | None
    small_steps: float


class ConstantRun(NamedTuple):
    """Steps of an epoch in which every client contributes the same number of samples."""

    first: int
    steps: int
    clients: NDArray[np.int64]
    sizes: NDArray[np.int64]


class Moments(NamedTuple):
    """Mean and standard deviation of p̂_c − p_c of a batch; shape (classes,) each."""

    mean: NDArray[np.float64]
    spread: NDArray[np.float64]


def scheduled_statistics(
    strategy: str, distribution: DataDistribution, batch_size: int, stretches: Sequence[ConstantRun]
) -> EpochStatistics:
    """Describe an epoch whose schedule is known: exactly, but for the deviation, whose parts count as normal.

    The bound and the bias are left out.
    """
    weights = np.array([stretch.steps for stretch in stretches])
    totals = np.array([int(stretch.sizes.sum()) for stretch in stretches])
    steps, counts = int(weights.sum()), distribution.label_counts
    deviation = at_end = None
    if counts is not None:
        expected = [mean_distance(batch_moments(counts, each.clients, each.sizes)) for each in stretches]
        late = [_steps_after(each, int(_END * steps)) for each in stretches]
        deviation = float(np.average(expected, weights=weights))
        at_end = float(np.average(expected, weights=late))
    return EpochStatistics(
        strategy,
        steps,
        batch_size=float(np.average(totals, weights=weights)),
        active_clients=float(np.average([len(each.clients) for each in stretches], weights=weights)),
        largest_local_batch=float(np.average([each.sizes.max() for each in stretches], weights=weights)),
        peak_local_batch=max(int(each.sizes.max()) for each in stretches),
        deviation=deviation,
        deviation_at_end=at_end,
        deviation_bound=None,
        bias=None,
        small_steps=float(weights[2 * totals < batch_size].sum() / steps),
    )


def fixed_statistics(
    strategy: str, distribution: DataDistribution, batch_size: int, schedule: FixedSchedule
) -> EpochStatistics:
    """Return the statistics of an epoch with fixed local batches (FLS, FPLS)."""
    stretches = list(constant_runs(schedule))
    figures = scheduled_statistics(strategy, distribution, batch_size, stretches)
    counts = distribution.label_counts
    if counts is None:
        return figures
    bias = float(np.abs(batch_moments(counts, stretches[0].clients, stretches[0].sizes).mean).sum())
    bound = min(2.0, bias + stratified_bound(counts, stretches[0], CONFIDENCE))
    return replace(figures, bias=bias, deviation_bound=bound)


def drawn_statistics(
    strategy: str, distribution: DataDistribution, batch_size: int, schedule: Schedule
) -> EpochStatistics:
    """Return the statistics of an epoch from its drawn schedule."""
    batches = (schedule.local_batches(step) for step in range(len(schedule)))
    stretches = [ConstantRun(step, 1, each.clients, each.sizes) for step, each in enumerate(batches)]
    return scheduled_statistics(strategy, distribution, batch_size, stretches)


def constant_runs(schedule: FixedSchedule) -> Iterator[ConstantRun]:
    """Divide an epoch into runs of steps with equal local batches."""
    whole, rest = np.divmod(schedule.remaining, schedule.local_batch_sizes)
    edges = np.unique(np.concatenate(([0], whole, whole + (rest > 0))))
    for first, stop in pairwise(edges.tolist()):
        batches = schedule.local_batches(first)
        yield ConstantRun(first, stop - first, batches.clients, batches.sizes)


def batch_moments(
    label_counts: NDArray[np.int64], clients: NDArray[np.int64], sizes: NDArray[np.int64]
) -> Moments:
    """Return mean and spread of the class proportions of a batch with given local batch sizes.

    The number of samples of class c in a local batch of b_k is hypergeometric, with mean b_k π_kc and
    variance b_k π_kc (1 − π_kc) (N_k − b_k) / (N_k − 1).
    """
    held = label_counts[clients].sum(axis=1)
    shares = label_counts[clients] / held[:, None]
    correction = np.divide(held - sizes, held - 1, out=np.zeros(len(held)), where=held > 1)
    variance = (sizes * correction) @ (shares * (1 - shares))
    total = sizes.sum()
    pooled = label_counts.sum(axis=0) / label_counts.sum()
    return Moments(sizes @ shares / total - pooled, np.sqrt(variance) / total)


def mean_distance(moments: Moments) -> float:
    """Return Σ_c E|X_c| of normal X_c: σ sqrt(2/π) exp(−μ²/2σ²) + μ erf(μ/(σ sqrt 2))."""
    mean, spread = np.abs(moments.mean), np.maximum(moments.spread, 1e-300)
    ratio = np.minimum(mean / spread, 1e3)  # beyond that the noise is nothing, and the square stays finite
    erf = np.array([math.erf(each / math.sqrt(2)) for each in ratio])
    return float((spread * math.sqrt(2 / math.pi) * np.exp(-(ratio**2) / 2) + mean * erf).sum())


def stratified_bound(label_counts: NDArray[np.int64], stretch: ConstantRun, confidence: float) -> float:
    """Return the ε that a fixed batch's distance from its own mean exceeds with probability 1 − confidence.

    P ≤ (2^M − 2)·exp(−ε² / (2 Σ_k w_k² f_k/b_k)), f_k = 1 − (b_k−1)/N_k: Serfling's bound in its L1 form,
    for clients that draw independently of each other.  With one client it is `deviation_bound`.
    """
    classes = label_counts.shape[1]
    if classes < 2:
        return 0.0
    sizes = stretch.sizes
    f = 1 - (sizes - 1) / label_counts[stretch.clients].sum(axis=1)
    weights = sizes / sizes.sum()
    terms = classes * math.log(2) + math.log1p(-(2.0 ** (1 - classes)))
    return math.sqrt(2 * float((weights**2 * f / sizes).sum()) * (terms - math.log1p(-confidence)))


def _steps_after(stretch: ConstantRun, step: int) -> int:
    return max(0, stretch.first + stretch.steps - max(stretch.first, step))


def uniform_statistics(
    strategy: str, distribution: DataDistribution, batch_size: int, active: float, largest: NDArray[np.int64]
) -> EpochStatistics:
    """Describe batches that are uniform draws without replacement from the pooled data.

    Args:
        strategy: Its name.
        distribution: Who holds what.
        batch_size: B, at most N.
        active: Active clients of a step, expected.
        largest: The largest local batch of some steps.
    """
    samples, counts = distribution.samples, distribution.label_counts
    steps = -(-samples // batch_size)
    expected = bound = bias = None
    if counts is not None:
        size = round(samples / steps)
        expected = expected_deviation(counts.sum(axis=0) / samples, size, samples)
        bound = deviation_bound(counts.shape[1], size, samples, CONFIDENCE)
        bias = 0.0
    return EpochStatistics(
        strategy,
        steps,
        batch_size=samples / steps,
        active_clients=active,
        largest_local_batch=float(largest.mean()),
        peak_local_batch=int(largest.max()),
        deviation=expected,
        deviation_at_end=expected,
        deviation_bound=bound,
        bias=bias,
        small_steps=0.0,
    )


def active_clients_of_epoch(sizes: NDArray[np.int64], batch_size: int) -> float:
    """Return E|A|, mean over the ⌈N/B⌉ batches of an epoch, whose sizes differ by at most one."""
    samples = int(sizes.sum())
    steps = -(-samples // batch_size)
    smaller, larger_ones = divmod(samples, steps)
    total = (steps - larger_ones) * active_clients(sizes, smaller)
    if larger_ones:
        total += larger_ones * active_clients(sizes, smaller + 1)
    return total / steps


def active_clients(sizes: NDArray[np.int64], batch_size: int) -> float:
    """Return E|A| = Σ_k 1 − C(N−N_k, B) / C(N, B) of a batch of B drawn without replacement from N."""
    samples = int(sizes.sum())
    distinct, clients = np.unique(sizes, return_counts=True)
    missed = [_miss_probability(samples, int(held), batch_size) for held in distinct]
    return float(clients @ (1 - np.array(missed)))


def largest_local_batches(
    sizes: NDArray[np.int64], batch_size: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return max_k b_k of some batches of B drawn without replacement; shape (draws,)."""
    draws = rng.multivariate_hypergeometric(sizes, batch_size, size=_DRAWS, method="marginals")
    largest: NDArray[np.int64] = draws.max(axis=1)
    return largest


def _miss_probability(samples: int, held: int, batch_size: int) -> float:
    """Return C(N−N_k, B) / C(N, B), by logarithms of factorials."""
    others = samples - held
    if batch_size > others:
        return 0.0
    return math.exp(
        math.lgamma(others + 1)
        - math.lgamma(others - batch_size + 1)
        - math.lgamma(samples + 1)
        + math.lgamma(samples - batch_size + 1)
    )
