"""What a user may choose for a simulation; imports nothing, so that ``--help`` answers at once."""

from enum import StrEnum
from typing import Final


class SimulatedStrategy(StrEnum):
    """Who contributes how many samples to a step: the manifest's strategies, and baselines."""

    GLOBAL = "Global"
    FIXED_LOCAL = "FixedLocal"
    FIXED_PROPORTIONAL_LOCAL = "FixedProportionalLocal"
    LATENT_DIRICHLET = "LatentDirichlet"
    CENTRALIZED = "Centralized"
    """All data at one client: what is lost by not pooling them."""
    SEQUENTIAL_SPLIT = "SequentialSplit"
    """One client after another, the client part handed on: split learning before it was parallel."""
    FEDERATED_AVERAGING = "FederatedAveraging"
    """The whole network at every client, weights averaged by N_k each round (McMahan et al. 2017)."""


BASELINES: Final = frozenset(
    {
        SimulatedStrategy.CENTRALIZED,
        SimulatedStrategy.SEQUENTIAL_SPLIT,
        SimulatedStrategy.FEDERATED_AVERAGING,
    }
)
"""Not in the manifest: they are there to be compared with, and nobody runs them on a cluster."""

COMPARED: Final = (
    SimulatedStrategy.CENTRALIZED,
    SimulatedStrategy.GLOBAL,
    SimulatedStrategy.FIXED_LOCAL,
    SimulatedStrategy.FIXED_PROPORTIONAL_LOCAL,
)
"""The comparison of the paper."""


class Skew(StrEnum):
    """The partitions of the paper's experiments (arXiv 2407.15738)."""

    SEVERE = "severe"
    """Two classes at each client, in unequal parts."""
    MILD = "mild"
    """Five classes at each client, in unequal parts."""
    IID = "iid"
    """All alike."""
