"""Clients of a job in the states that a test sets."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pslgs.telemetry.client_view import ClientView


@dataclass
class FakeClients(ClientView):
    """State -> clients, and client -> samples left."""

    states: Mapping[str, tuple[str, ...]]
    left: Mapping[str, int] = field(default_factory=dict)

    def count(self, state: str) -> int:
        return len(self.names(state))

    def names(self, state: str) -> tuple[str, ...]:
        return self.states.get(state, ())

    def is_live(self, client: str) -> bool:
        return client in self.states["live"]

    def remaining(self, client: str) -> int:
        return self.left.get(client, 0)
