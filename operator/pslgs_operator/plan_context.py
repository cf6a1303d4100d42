"""What a plan is made from."""

from dataclasses import dataclass
from datetime import datetime

from pslgs_operator.endpoint import Endpoint, server_endpoint
from pslgs_operator.placement import Placements
from pslgs_operator.settings import Settings
from pslgs_operator.snapshot import Snapshot
from pslgs_operator.status.types import JobStatus
from pslgs_operator.training_job import TrainingJob


@dataclass(frozen=True, slots=True)
class PlanContext:
    """A job, its status as just assessed, and what is there of it."""

    job: TrainingJob
    status: JobStatus
    snapshot: Snapshot
    placements: Placements
    settings: Settings
    now: datetime

    @property
    def begun(self) -> bool:
        """Whether the training has begun; from then on, Jobs that run are left as they are."""
        return self.status.training_start_time is not None

    @property
    def address(self) -> Endpoint | None:
        """Where clients find the server; None while that is not known."""
        return server_endpoint(self.job, self.snapshot)
