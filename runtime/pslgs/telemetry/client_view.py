"""View of the clients of a job for metrics and status, which read it on demand."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from typing_extensions import override

LIVE = "live"
LOST = "lost"
STATES = (LIVE, LOST)


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
    """State (live, lost) -> names of the clients in this state, sorted; read from the view on each access."""

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
