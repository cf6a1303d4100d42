"""FederatedAveraging: the whole network at every client, weights averaged by N_k (McMahan et al. 2017).

A baseline without a schedule: a round is an epoch of every client over its own data, and only simulations
train it.
"""

from typing import Final

from pslgs.sampling.strategy import Strategy
from pslgs.spec.training import Baseline

STRATEGY: Final = Strategy(Baseline.FEDERATED_AVERAGING.value, colour="six", draw=None)
