"""LatentDirichlet: batches drawn from mixing weights that lean towards slow clients (arXiv 2407.15738v2).

Reconstructed from the paper's description.  The schedule is drawn in three moves, each a function here:

1. The prior over the clients' mixing weights π is a Dirichlet distribution with α_k = r_k·c·Z, where
   r_k = N_k/N and Z = S(N−1)/(N−S) − 1.  With c = 1 its variance r_k(1−r_k)/(Z+1) is that of client k's
   share among S samples drawn without replacement.  Delays tilt it: α_k ← α_k·exp(δ·σ_k).
2. S labels are drawn from the pool, and π is their maximum a posteriori estimate under that prior, with
   the clients' class distributions as fixed components (expectation-maximisation).
3. Every batch is drawn from π without replacement: a draw that falls on a dry client falls on another one.

With c = 1 and δ = 0 a batch deviates as one of global sampling does, until a client is dry.  π is drawn once
an epoch and is not r exactly, so clients run dry at different times, and in a skewed partition the batches at
the epoch's end deviate more: the mean over an epoch is above the expectation by about a tenth.
"""

import numpy as np
from numpy.typing import NDArray

from pslgs.sampling.holdings import Holdings
from pslgs.sampling.schedule import DrawnSchedule, LocalBatches, chunk_of
from pslgs.spec.sampling import LatentDirichletSpec

TOLERANCE = 1e-5
ROUNDS = 1000
LARGEST_TILT = 50.0
"""Of the exponent δ·σ_k; exp(50) leaves the others nothing, exp(1000) is no number."""

Weights = NDArray[np.float64]


def latent_dirichlet_schedule(
    holdings: Holdings, global_batch_size: int, options: LatentDirichletSpec, rng: np.random.Generator
) -> DrawnSchedule:
    """Schedule what the clients have left, slow clients first.

    There are T = ⌈N/B⌉ batches whose sizes differ by at most one, as in global sampling, and every sample
    is used exactly once.

    Args:
        holdings: What the clients hold; those with nothing left take no part.
        global_batch_size: B, the size that no batch exceeds; at least 1.
        options: S, c and δ.
        rng: Consumed by the draw of labels and by that of batches.
    """
    taking_part = np.flatnonzero(holdings.remaining)
    if not len(taking_part):
        return DrawnSchedule(())
    left = holdings.remaining[taking_part]
    sample_size = min(options.sample_size, int(left.sum()) - 1)
    weights = left / left.sum()
    if sample_size > 1 and len(left) > 1:  # with S = 1 the prior weighs nothing
        prior = tilted(
            dirichlet_prior(left, sample_size, options.concentration),
            holdings.delays[taking_part],
            options.delay_weight,
        )
        counts = holdings.label_counts[taking_part]
        distributions = counts / counts.sum(axis=1, keepdims=True)
        weights = mixing_weights(prior, distributions, draw_labels(left, distributions, sample_size, rng))
    return _draw_batches(taking_part, left, weights, global_batch_size, rng)


def dirichlet_prior(left: NDArray[np.int64], sample_size: int, concentration: float) -> Weights:
    """Return α_k = r_k·c·Z with Z = S(N−1)/(N−S) − 1; shape (clients,).

    Args:
        left: N_k, all positive; shape (clients,).
        sample_size: S, above 1 and below N = Σ N_k.
        concentration: c.
    """
    pooled = int(left.sum())
    z = sample_size * (pooled - 1) / (pooled - sample_size) - 1
    return left / pooled * concentration * z


def tilted(prior: Weights, delays: Weights, delay_weight: float) -> Weights:
    """Return α_k·exp(δ·σ_k) with σ_k = (d_k − mean d)/std d; an unknown delay counts as the mean.

    Args:
        prior: α; shape (clients,).
        delays: d in seconds, NaN where unknown; shape (clients,).
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
    left: NDArray[np.int64], distributions: Weights, sample_size: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw S labels from the pool without replacement; return how many of each class, shape (classes,).

    Which of a client's classes an epoch has used already is not known to the server, so what is left is
    taken to be mixed like the whole.

    Args:
        left: Samples left at each client; shape (clients,).
        distributions: β_k, each client's class proportions; shape (clients, classes).
        sample_size: S.
        rng: Source of the draw.
    """
    pooled = np.rint(left @ distributions).astype(np.int64)
    drawn = rng.multivariate_hypergeometric(pooled, min(sample_size, int(pooled.sum())), method="marginals")
    return np.asarray(drawn)


def mixing_weights(prior: Weights, distributions: Weights, labels: NDArray[np.int64]) -> Weights:
    """Estimate π of a mixture with fixed components, maximum a posteriori under a Dirichlet prior.

    E: γ_nk ∝ π_k β_k,x_n.  M: π_k ∝ max(0, Σ_n γ_nk + α_k − 1).  Labels of one class share their γ, so a
    round costs clients × classes.  Stops once no weight moves by `TOLERANCE`, or after `ROUNDS` rounds.
    Clients with α_k < 1 (more clients than prior observations) may end with weight 0: they contribute
    once the others are dry.

    Args:
        prior: α; shape (clients,).
        distributions: β; shape (clients, classes).
        labels: How many of the S labels are of each class; shape (classes,).
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
    left: NDArray[np.int64],
    weights: Weights,
    global_batch_size: int,
    rng: np.random.Generator,
) -> DrawnSchedule:
    """Draw B samples a step from ``weights``, as long as their clients have some.

    A multinomial draw may ask a client for more than it has left.  What exceeds it is drawn again over
    those that are not dry, so that batches keep their size until the pool is empty.  This is the law of
    drawing one sample after another and passing over clients that are dry; leaving the excess out would
    bring back the small last batches that global sampling is there to avoid.
    """
    samples = int(left.sum())
    steps = -(-samples // global_batch_size)
    left, weights = left.copy(), weights.copy()
    batches = []
    for step in range(steps):
        start, stop = chunk_of(step, samples, steps)
        sizes = _draw_batch(stop - start, left, weights, rng)
        active = np.flatnonzero(sizes)
        batches.append(LocalBatches(clients[active], sizes[active]))
    return DrawnSchedule(tuple(batches))


def _draw_batch(
    size: int, left: NDArray[np.int64], weights: Weights, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw one batch's local batch sizes, and take them from ``left``."""
    sizes = np.zeros_like(left)
    while size:
        live = np.where(left > 0, weights, 0.0)
        if not live.any():
            live = left.astype(np.float64)
        drawn = np.minimum(rng.multinomial(size, live / live.sum()), left)
        sizes += drawn
        left -= drawn
        size -= int(drawn.sum())
    return sizes
