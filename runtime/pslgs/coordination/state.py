"""State of the coordinator in a checkpoint, as JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from pslgs.coordination.best_evaluation import BestEvaluation
from pslgs.coordination.epoch import EpochState, ResponseTimeState


@dataclass(frozen=True, slots=True)
class CoordinatorState:
    """State from which the coordinator continues exactly where it was.

    Attributes:
        step: Steps committed so far.
        epoch: The epoch in progress.
        evaluated: Whether the epoch in progress has already been evaluated.
        samples: Training samples of every member, lost ones included.
        active_seconds: Time for which the job has been running, without interruptions.
        delays: Response times of the clients, for strategies that use them.
        best: The best evaluation so far.
    """

    step: int
    epoch: EpochState
    evaluated: bool
    samples: Mapping[str, int]
    active_seconds: float
    delays: ResponseTimeState = field(default_factory=ResponseTimeState)
    best: BestEvaluation = field(default_factory=BestEvaluation)

    def to_json(self) -> dict[str, Any]:
        """Return the state as plain dictionaries, lists and numbers."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: object) -> "CoordinatorState":
        """Return the state that `to_json` gave as ``document``; fields of a later version are ignored.

        Raises:
            ValueError: the document does not have the form that `to_json` gives.
        """
        try:
            return _ADAPTER.validate_python(document)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


_ADAPTER: Final = TypeAdapter(CoordinatorState)
