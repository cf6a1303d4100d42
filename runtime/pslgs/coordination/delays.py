"""How long clients take to answer: measured in one epoch, heeded in the draws of the next."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class DelayState:
    """What of the delays goes into a checkpoint.

    Attributes:
        known: Client -> mean seconds that it kept a step waiting, as the epoch under way heeds them.
        measured: Client -> seconds in all and steps, of the epoch under way.
    """

    known: Mapping[str, float] = field(default_factory=dict)
    measured: Mapping[str, tuple[float, int]] = field(default_factory=dict)


class Delays:
    """The delays of a job's clients.

    A delay is what a client costs a step: the time to its smashed data and that to its gradient together,
    whatever its local batch was.  It stays the same within an epoch, so that a resumed run draws as before.

    Attributes:
        known: Client -> seconds, to be heeded by the draws of the epoch under way.
    """

    def __init__(self, state: DelayState) -> None:
        self.known = dict(state.known)
        self._measured = {client: (seconds, steps) for client, (seconds, steps) in state.measured.items()}

    def note(self, seconds: Mapping[str, float]) -> None:
        """Take in what the clients of one committed step needed."""
        for client, more in seconds.items():
            before, steps = self._measured.get(client, (0.0, 0))
            self._measured[client] = before + more, steps + 1

    def end_epoch(self) -> None:
        """Heed from now on what was measured; a client that was not active keeps its old delay."""
        self.known |= {client: seconds / steps for client, (seconds, steps) in self._measured.items()}
        self._measured.clear()

    def state(self) -> DelayState:
        """Return what must be kept to go on exactly here."""
        return DelayState(dict(self.known), dict(self._measured))
