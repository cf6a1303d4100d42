"""Carries out a job's effects without tensors: only whose labels a global batch holds is known."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pslgs.coordination import effects as do
from pslgs.sampling.randomness import Purpose, client_key, generator
from pslgs.simulation.outcomes import EvaluationOutcome, StepOutcome

NOTHING = float("nan")


class Reading:
    """Reads labels in the same order as a client that trains, so that batches are those of a training."""

    def __init__(self, labels: Mapping[str, NDArray[np.int64]], seed: int) -> None:
        """Take each client's labels, as class numbers, and the job's seed."""
        self._labels = labels
        self._seed = seed
        self._orders: dict[str, NDArray[np.int64]] = {}
        self._epoch = 0

    def perform(self, effect: do.Effect) -> StepOutcome | EvaluationOutcome | None:
        """See `Work`."""
        if not isinstance(effect, do.ApplyUpdate):
            return None
        if effect.epoch != self._epoch:
            self._orders, self._epoch = {}, effect.epoch
        classes = [
            self._in_order(share.client)[share.offset : share.offset + share.samples]
            for share in effect.shares
        ]
        return StepOutcome(NOTHING, NOTHING, np.concatenate(classes))

    def _in_order(self, client: str) -> NDArray[np.int64]:
        if client not in self._orders:
            rng = generator(self._seed, Purpose.LOCAL_ORDER, self._epoch, client_key(client))
            labels = self._labels[client]
            self._orders[client] = labels[rng.permutation(len(labels))]
        return self._orders[client]
