"""The coordinator's state in a checkpoint, as JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pslgs.coordination.epoch import EpochState, ResponseTimeState


@dataclass(frozen=True, slots=True)
class CoordinatorState:
    """All that the coordinator must remember to go on exactly where it was.

    Attributes:
        step: Steps committed so far.
        epoch: The epoch under way.
        evaluated: Whether the epoch under way has been evaluated already.
        samples: Training samples of every member, lost ones included.
        active_seconds: How long the job has been running, stops left out.
        delays: How long clients take to answer, where the strategy heeds it.
    """

    step: int
    epoch: EpochState
    evaluated: bool
    samples: Mapping[str, int]
    active_seconds: float
    delays: ResponseTimeState

    def to_json(self) -> dict[str, Any]:
        """Return plain dictionaries, lists and numbers."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "CoordinatorState":
        """Undo `to_json`.

        Raises:
            KeyError, TypeError: the document is not one of `to_json`.
        """
        return cls(
            step=document["step"],
            epoch=EpochState(**document["epoch"]),
            evaluated=document["evaluated"],
            samples=document["samples"],
            active_seconds=document["active_seconds"],
            delays=ResponseTimeState(**document.get("delays", {})),
        )
