"""Where a step is in its epoch."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class EpochPosition:
    """Position of a step in its epoch.

    Attributes:
        taken: Steps of the epoch before it.
        planned: Steps of the epoch in all, as far as is known: it changes when clients join or are lost.
    """

    taken: int = 0
    planned: int = 1


ONLY_STEP: Final = EpochPosition()
"""Position of the only step of an epoch."""
