"""View of the clients of a job for metrics and status, which read it on demand."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from typing_extensions import override

LIVE = "live"
LOST = "lost"
EXCLUDED = "excluded"
STATES = (LIVE, LOST, EXCLUDED)


class ClientView(Protocol):
    """The clients of a job; all methods may be called in any thread while the event loop changes them."""

    def count(self, state: str) -> int:
        """Return the number of clients in ``state``."""

    def names(self, state: str) -> tuple[str, ...]:
        """Return the names of the clients in ``state``, sorted."""

    def is_live(self, client: str) -> bool:
        """Return whether a client is connected."""

    def remaining(self, client: str) -> int:
        """Return the number of samples that a client has left in this epoch; 0 for an unknown client."""


class ClientFault(NamedTuple):
    """What a client did wrong.

    Attributes:
        client: Its id, or its host if its id is not authenticated.
        reason: The last fault as one word, a label of metrics.
        message: The last fault as a sentence.
        times: Number of its faults.
    """

    client: str
    reason: str
    message: str
    times: int


FaultView = Callable[[], Sequence[ClientFault]]
"""Returns the faults of the clients that had one last, the newest first; may be called in any thread."""


def no_faults() -> Sequence[ClientFault]:
    """Return the faults of no clients."""
    return ()


class NoClients(ClientView):
    """The clients of a job before the first one joins."""

    @override
    def count(self, state: str) -> int:
        return 0

    @override
    def names(self, state: str) -> tuple[str, ...]:
        return ()

    @override
    def is_live(self, client: str) -> bool:
        return False

    @override
    def remaining(self, client: str) -> int:
        return 0


class ClientNames(Mapping[str, tuple[str, ...]]):
    """State (live, lost, excluded) -> names of its clients, sorted; read from the view on each access."""

    def __init__(self, view: ClientView) -> None:
        self._view = view

    @override
    def __getitem__(self, state: str) -> tuple[str, ...]:
        if state not in STATES:
            raise KeyError(state)
        return self._view.names(state)

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(STATES)

    @override
    def __len__(self) -> int:
        return len(STATES)
