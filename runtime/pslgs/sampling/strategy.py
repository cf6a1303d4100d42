"""What a sampling strategy is: how it draws, what a plan expects of it, how it appears in comparisons."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from pslgs.sampling.holdings import Holdings
from pslgs.sampling.schedule import Schedule
from pslgs.sampling.schedule_statistics import DataDistribution, EpochStatistics
from pslgs.spec.training import SamplingSpec, SamplingStrategy


class Draw(Protocol):
    """Draws the schedule of what is left of an epoch."""

    def __call__(self, holdings: Holdings, sampling: SamplingSpec, rng: np.random.Generator, /) -> Schedule:
        """Draw a schedule over ``holdings``; equal arguments give equal schedules."""
        ...


class Expect(Protocol):
    """Predicts the batches of a whole epoch."""

    def __call__(
        self,
        distribution: DataDistribution,
        batch_size: int,
        sampling: SamplingSpec,
        rng: np.random.Generator,
        /,
    ) -> EpochStatistics | None:
        """Return the statistics of an epoch, or None where they would take long to compute.

        Args:
            distribution: Which client holds what.
            batch_size: B, at least 1 and at most the number of samples.
            sampling: The job's settings.
            rng: Source of what is estimated from draws.
        """
        ...


def no_remarks(_: SamplingSpec) -> Iterator[tuple[str, str]]:
    """Have no advice on a job's settings."""
    return iter(())


@dataclass(frozen=True, slots=True)
class Strategy:
    """A rule for who contributes how many samples to a step.

    Attributes:
        name: Its name in manifests, on the command line and in tables.
        colour: Its colour in figures, a name of the reports' palette.
        draw: Draws a schedule.  None for a method without steps: federated averaging trains the whole network
            at every client, in rounds.
        expect: Predicts an epoch for a plan; None if plans leave the strategy out.
        remarks: Yields advice on a job's settings as pairs of a manifest field's path and a sentence.
        uses_client_stats: Whether `draw` reads label counts and delays, which are collected only then.
        pools_data: Whether a single client holds all data, as on one machine.
        allocates: Whether the server allocates each batch over the clients, so that batches stay full until
            the end of an epoch.  A comparison sets the other strategies against these.
        least_local_batch: Samples that every client with data contributes at least.
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
        """Whether only simulations know the strategy: no manifest can name it, and no cluster runs it."""
        return self.name not in _IN_MANIFESTS

    @property
    def unit(self) -> str:
        """What one update of the model is called."""
        return "round" if self.draw is None else "step"


_IN_MANIFESTS: Final = frozenset(map(str, SamplingStrategy))
