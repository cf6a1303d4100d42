"""What is simulated, and how."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pslgs.observability.records import Record
from pslgs.simulation.choices import SimulatedStrategy
from pslgs.simulation.profiles import Mix
from pslgs.simulation.threads import AS_TORCH_IS_SET, Threads
from pslgs.simulation.virtual_time import SERVER_SAMPLES_PER_SECOND
from pslgs.spec.job import SplitTrainingJob

CACHE = Path("~/.cache/pslgs")

Watch = Callable[[Record, int], None]
"""Takes each record, and how many steps there are in all (0 where that is not known yet)."""


@dataclass(frozen=True, slots=True)
class SimulationOptions:
    """How a job is simulated, apart from what the job is.

    Attributes:
        profile: Links and machines: a name of `PROFILES`, a mix such as ``lan:0.8,lte:0.2``, or parts of
            one; None where no time is modelled and nobody is lost.
        server_samples_per_second: Of the server part, where time is modelled.
        schedule_only: Train nothing; the batches are those of the training, and there is no loss.
        client_ids: Names of the clients where the job has no partition.
        cache: Folder for converted datasets.
        threads: Cores of the server and of each client.
        recalibration_batches: Global batches over which the server part's BatchNorm statistics are estimated
            anew for a second score in each evaluation; 0 for no such score.
    """

    profile: str | Mix | None = None
    server_samples_per_second: float = SERVER_SAMPLES_PER_SECOND
    schedule_only: bool = False
    client_ids: Sequence[str] | None = None
    cache: Path = CACHE
    threads: Threads = AS_TORCH_IS_SET
    recalibration_batches: int = 0


@dataclass(frozen=True, slots=True)
class Simulation:
    """What is simulated, and how.

    Attributes:
        job: As it is to be.
        strategy: Its own, or a baseline.
        options: The rest.
    """

    job: SplitTrainingJob
    strategy: SimulatedStrategy
    options: SimulationOptions = SimulationOptions()
