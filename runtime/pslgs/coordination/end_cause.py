"""Why the coordinator ends the stream of a client."""

from enum import Enum, auto


class EndCause(Enum):
    """Why the coordinator ends a client's stream; determines whether the client may return."""

    TIMED_OUT = auto()
    """It did not answer in time, as most others did, and may return."""
    LOST = auto()
    """It did not answer in time, as most others did not, and may return."""
    REPLACED = auto()
    """Another connection of the same client took its place."""
    NON_FINITE = auto()
    """It sent values that are not finite, and shall not return with the same data."""
    VIOLATION = auto()
    """It violated the protocol."""
    EXCLUDED = auto()
    """It may not return to this server process."""
