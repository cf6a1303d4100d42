"""How metrics and status see the clients of a job: looked up when somebody asks, never copied."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from typing_extensions import override

LIVE = "live"
LOST = "lost"
STATES = (LIVE, LOST)


class ClientView(Protocol):
    """The clients of a job.  Everything may be read in any thread while the event loop changes it."""

    def count(self, state: str) -> int:
        """Count the clients in ``state``."""

    def names(self, state: str) -> tuple[str, ...]:
        """Return the clients in ``state``, in order of their names."""

    def is_live(self, client: str) -> bool:
        """Tell whether a client is connected."""

    def remaining(self, client: str) -> int:
        """Return how many samples of this epoch a client has not contributed yet; 0 for a stranger."""


class NoClients(ClientView):
    """The clients of a job that has none yet."""

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
    """State (live, lost) -> clients in order of their names, as they are when an item is read."""

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
