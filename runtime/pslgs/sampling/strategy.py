"""The interface of sampling strategies: drawing of schedules, expected statistics, display in comparisons."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from pslgs.sampling.holdings import Holdings
from pslgs.sampling.schedule import Schedule
from pslgs.sampling.schedule_statistics import DataDistribution, EpochStatistics
from pslgs.spec.training import SamplingSpec, SamplingStrategy


class Draw(Protocol):
    """Function that draws the schedule of the remaining samples of an epoch."""

    def __call__(self, holdings: Holdings, sampling: SamplingSpec, rng: np.random.Generator, /) -> Schedule:
        """Draw a schedule over ``holdings``; equal arguments give equal schedules."""
        ...


class Expect(Protocol):
    """Function that predicts the batches of a whole epoch."""

    def __call__(
        self,
        distribution: DataDistribution,
        batch_size: int,
        sampling: SamplingSpec,
        rng: np.random.Generator,
        /,
    ) -> EpochStatistics | None:
        """Return the statistics of an epoch, or None if they would take long to compute.

        Args:
            distribution: Samples and label counts of the clients.
            batch_size: B, at least 1 and at most the number of samples.
            sampling: Sampling settings of the job.
            rng: Random number generator for statistics that are estimated from draws.
        """
        ...


def no_remarks(_: SamplingSpec) -> Iterator[tuple[str, str]]:
    """Yield no advice."""
    return iter(())


@dataclass(frozen=True, slots=True)
class Strategy:
    """A strategy that determines how many samples each client contributes to a step.

    Attributes:
        name: Name in manifests, on the command line and in tables.
        colour: Colour in figures, a name of the reports' palette.
        draw: Draws a schedule.  None for a method without steps: federated averaging trains the whole network
            at every client, in rounds.
        expect: Predicts an epoch for a plan; None if the strategy is not part of plans.
        remarks: Yields advice on a job's settings as pairs of a manifest field's path and a sentence.
        uses_client_stats: Whether `draw` reads label counts and delays, which are collected only then.
        pools_data: Whether a single client holds all data, as on one machine.
        allocates: Whether the server allocates each batch over the clients, so that batches stay full until
            the end of an epoch.  Comparisons relate the other strategies to these.
        least_local_batch: Minimum number of samples that every client with data contributes to a step.
    """

    name: str
    colour: str
    draw: Draw | None
    expect: Expect | None = None
    remarks: Callable[[SamplingSpec], Iterator[tuple[str, str]]] = no_remarks
    uses_client_stats: bool = False
    pools_data: bool = False
    allocates: bool = False
    least_local_batch: int = 0

    @property
    def is_baseline(self) -> bool:
        """Whether the strategy is available in simulations only, and not in manifests."""
        return self.name not in _IN_MANIFESTS

    @property
    def unit(self) -> str:
        """Name of one update of the model: ``step`` or ``round``."""
        return "round" if self.draw is None else "step"


_IN_MANIFESTS: Final = frozenset(map(str, SamplingStrategy))
