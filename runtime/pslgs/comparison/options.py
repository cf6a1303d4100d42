"""What is compared, and how."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pslgs.simulation.choices import COMPARED, SimulatedStrategy
from pslgs.simulation.options import CACHE
from pslgs.simulation.profiles import Mix
from pslgs.simulation.virtual_time import SERVER_SAMPLES_PER_SECOND

DELAY_WEIGHTS: Final = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
"""δ of LatentDirichlet whose time and deviation are looked at, where links are assumed."""


@dataclass(frozen=True, slots=True)
class ComparisonOptions:
    """What is compared, apart from the job itself.

    Attributes:
        strategies: In the order in which they are shown.
        seeds: Each strategy is simulated once with each.
        profile: Links and machines of the clients; None where no time is modelled.
        server_samples_per_second: Of the server, where time is modelled.
        schedule_only: Train nothing; look at the batches.
        target_accuracy: 0 … 1, to be reached as soon as possible; None for 95 % of what the best reaches.
        recalibration_batches: As in `SimulationOptions`.
        client_ids: Likewise.
        cache: Likewise.
        threads: Cores of a simulation; results depend on it in their last bits.
    """

    strategies: Sequence[SimulatedStrategy] = COMPARED
    seeds: Sequence[int] = (0, 1, 2)
    profile: Mix | None = None
    server_samples_per_second: float = SERVER_SAMPLES_PER_SECOND
    schedule_only: bool = False
    target_accuracy: float | None = None
    recalibration_batches: int = 0
    client_ids: Sequence[str] | None = None
    cache: Path = CACHE
    threads: int = 1
