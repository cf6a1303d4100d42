"""LatentDirichlet sampling: batches drawn from mixing weights that favour slow clients (arXiv 2407.15738v2).

This implementation is reconstructed from the paper's description.  A schedule is drawn in three steps:

1. The prior over the clients' mixing weights π is a Dirichlet distribution with α_k = r_k·c·Z, where
   r_k = N_k/N and Z = S(N−1)/(N−S) − 1.  With c = 1 its variance r_k(1−r_k)/(Z+1) is that of client k's
   share among S samples drawn without replacement.  Delays tilt it: α_k ← α_k·exp(δ·σ_k).
2. S labels are drawn from the pool, and π is their maximum a posteriori estimate under that prior, with
   the clients' class distributions as fixed components (expectation-maximisation).
3. Every batch is drawn from π without replacement; draws of clients without remaining samples are repeated.

With c = 1 and δ = 0 a batch deviates as one of global sampling does, as long as all clients have samples
left.  π is drawn once per epoch and is not exactly r, so clients use up their samples at different times, and
in a skewed partition the last batches of an epoch deviate more: the mean over an epoch is about a tenth above
the expectation.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pslgs.sampling.holdings import Holdings
from pslgs.sampling.schedule import DrawnSchedule, LocalBatches, chunk_of
from pslgs.sampling.schedule_statistics import DataDistribution, EpochStatistics, drawn_statistics
from pslgs.sampling.strategy import Strategy
from pslgs.spec.training import LatentDirichletSpec, SamplingSpec, SamplingStrategy

TOLERANCE = 1e-5
"""Expectation-maximisation stops when no weight changes by this much."""
ROUNDS = 1000
"""Maximum number of iterations of expectation-maximisation."""
LARGEST_TILT = 50.0
"""Limit of the exponent δ·σ_k, so that exp does not overflow; exp(50) already dominates all other weights."""

Weights = NDArray[np.float64]


def latent_dirichlet_schedule(
    holdings: Holdings, global_batch_size: int, options: LatentDirichletSpec, rng: np.random.Generator
) -> DrawnSchedule:
    """Draw the schedule of the remaining samples, with slow clients contributing earlier.

    The schedule has T = ⌈N/B⌉ batches whose sizes differ by at most one, as in global sampling, and uses
    every remaining sample exactly once.

    Args:
        holdings: State of the clients' data; clients without remaining samples are left out.
        global_batch_size: B, maximum number of samples in a batch; at least 1.
        options: S, c and δ.
        rng: Random number generator for the draws of labels and of batches.
    """
    clients = np.flatnonzero(holdings.remaining)
    if not len(clients):
        return DrawnSchedule(())
    remaining = holdings.remaining[clients]
    sample_size = min(options.sample_size, int(remaining.sum()) - 1)
    weights = remaining / remaining.sum()
    if sample_size > 1 and len(clients) > 1:  # with S = 1, Z and with it the prior are 0
        prior = tilted(
            dirichlet_prior(remaining, sample_size, options.concentration),
            holdings.delays[clients],
            options.delay_weight,
        )
        counts = holdings.label_counts[clients]
        distributions = counts / counts.sum(axis=1, keepdims=True)
        labels = draw_labels(remaining, distributions, sample_size, rng)
        weights = mixing_weights(prior, distributions, labels)
    return _draw_batches(clients, remaining, weights, global_batch_size, rng)


def dirichlet_prior(remaining: NDArray[np.int64], sample_size: int, concentration: float) -> Weights:
    """Return the prior's parameters α_k = r_k·c·Z with Z = S(N−1)/(N−S) − 1; shape (clients,).

    Args:
        remaining: N_k, number of samples left at each client, all positive; shape (clients,).
        sample_size: S, above 1 and below N = Σ N_k.
        concentration: c.
    """
    pooled = int(remaining.sum())
    z = sample_size * (pooled - 1) / (pooled - sample_size) - 1
    return remaining / pooled * concentration * z


def tilted(prior: Weights, delays: Weights, delay_weight: float) -> Weights:
    """Return the prior weighted by delays, α_k·exp(δ·σ_k) with σ_k = (d_k − mean d)/std d.

    Args:
        prior: α; shape (clients,).
        delays: d in seconds; NaN where unknown, which counts as the mean; shape (clients,).
        delay_weight: δ, not negative.
    """
    known = ~np.isnan(delays)
    spread = float(delays[known].std()) if known.any() else 0.0
    if spread == 0 or delay_weight == 0:
        return prior
    deviations = np.where(known, delays - delays[known].mean(), 0.0) / spread
    tilt = np.clip(delay_weight * deviations, -LARGEST_TILT, LARGEST_TILT)
    return np.asarray(prior * np.exp(tilt))


def draw_labels(
    remaining: NDArray[np.int64], distributions: Weights, sample_size: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw S labels from the pool without replacement; return the number of each class, shape (classes,).

    The server does not know the classes of the samples that an epoch has used, so the remaining samples
    of a client are assumed to have the class proportions of all of its samples.

    Args:
        remaining: Number of samples left at each client; shape (clients,).
        distributions: β_k, class proportions of each client; shape (clients, classes).
        sample_size: S.
        rng: Random number generator.
    """
    pooled = np.rint(remaining @ distributions).astype(np.int64)
    drawn = rng.multivariate_hypergeometric(pooled, min(sample_size, int(pooled.sum())), method="marginals")
    return np.asarray(drawn)


def mixing_weights(prior: Weights, distributions: Weights, labels: NDArray[np.int64]) -> Weights:
    """Return the maximum a posteriori estimate of π for fixed components and a Dirichlet prior.

    Expectation-maximisation alternates E: γ_nk ∝ π_k β_k,x_n and M: π_k ∝ max(0, Σ_n γ_nk + α_k − 1).
    Labels of the same class have the same γ, so an iteration costs O(clients × classes).  It stops when
    no weight changes by `TOLERANCE`, or after `ROUNDS` iterations.  Clients with α_k < 1 (more clients
    than prior observations) may get the weight 0; they contribute when the others have no samples left.

    Args:
        prior: α; shape (clients,).
        distributions: β; shape (clients, classes).
        labels: Number of the S labels in each class; shape (classes,).
    """
    weights: Weights = np.asarray(prior / prior.sum())
    for _ in range(ROUNDS):
        mixture = weights @ distributions
        ratios = np.divide(labels, mixture, out=np.zeros_like(mixture), where=mixture > 0)
        raised = np.maximum(0.0, weights * (distributions @ ratios) + prior - 1)
        if not raised.any():
            return np.asarray(prior / prior.sum())
        before, weights = weights, np.asarray(raised / raised.sum())
        if np.abs(weights - before).max() < TOLERANCE:
            break
    return weights


def _draw_batches(
    clients: NDArray[np.int64],
    remaining: NDArray[np.int64],
    weights: Weights,
    global_batch_size: int,
    rng: np.random.Generator,
) -> DrawnSchedule:
    """Draw the batches of all steps from ``weights`` until the samples are used up.

    A multinomial draw may assign a client more samples than it has left.  The excess is drawn again from
    the clients that have samples left, so that batches keep their size until the pool is empty.  The
    distribution is that of drawing sample by sample and skipping clients without remaining samples.
    Dropping the excess instead would make the last batches small, which global sampling avoids.
    """
    samples = int(remaining.sum())
    steps = -(-samples // global_batch_size)
    remaining, weights = remaining.copy(), weights.copy()
    batches = []
    for step in range(steps):
        start, stop = chunk_of(step, samples, steps)
        sizes = _draw_batch(stop - start, remaining, weights, rng)
        active = np.flatnonzero(sizes)
        batches.append(LocalBatches(clients[active], sizes[active]))
    return DrawnSchedule(tuple(batches))


def _draw_batch(
    size: int, remaining: NDArray[np.int64], weights: Weights, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw the local batch sizes of one global batch, and subtract them from ``remaining`` in place."""
    sizes = np.zeros_like(remaining)
    while size:
        available = np.where(remaining > 0, weights, 0.0)
        if not available.any():
            available = remaining.astype(np.float64)
        drawn = np.minimum(rng.multinomial(size, available / available.sum()), remaining)
        sizes += drawn
        remaining -= drawn
        size -= int(drawn.sum())
    return sizes


_MOST_DRAWN: Final = 10_000_000
"""Steps times clients up to which a plan draws an epoch although the job does not ask for it; seconds."""


def _draw(holdings: Holdings, sampling: SamplingSpec, rng: np.random.Generator) -> DrawnSchedule:
    return latent_dirichlet_schedule(holdings, sampling.global_batch_size, sampling.latent_dirichlet, rng)


def _expect(
    distribution: DataDistribution, batch_size: int, sampling: SamplingSpec, rng: np.random.Generator
) -> EpochStatistics | None:
    """Draw an epoch over clients that are equally fast."""
    clients = len(distribution.sizes)
    chosen = sampling.strategy == SamplingStrategy.LATENT_DIRICHLET
    if not chosen and clients * distribution.samples // batch_size > _MOST_DRAWN:
        return None
    held = Holdings.of_sizes(distribution.sizes)
    if distribution.label_counts is not None:
        held = replace(held, label_counts=distribution.label_counts)
    schedule = latent_dirichlet_schedule(held, batch_size, sampling.latent_dirichlet, rng)
    return drawn_statistics(SamplingStrategy.LATENT_DIRICHLET, distribution, batch_size, schedule)


def _remarks(sampling: SamplingSpec) -> Iterator[tuple[str, str]]:
    if sampling.latent_dirichlet.delay_weight > 0:
        yield (
            "spec.sampling.latentDirichlet.delayWeight",
            "is above 0, which adds to the deviation where clients differ in speed; the figures here are "
            "those of equally fast ones.",
        )


STRATEGY: Final = Strategy(
    SamplingStrategy.LATENT_DIRICHLET.value,
    colour="four",
    draw=_draw,
    expect=_expect,
    remarks=_remarks,
    uses_client_stats=True,
    allocates=True,
)
