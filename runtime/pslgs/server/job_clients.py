"""View of the coordinator's clients for metrics and status."""

from typing_extensions import override

from pslgs.coordination.coordinator import Coordinator
from pslgs.telemetry.client_view import EXCLUDED, LIVE, LOST, ClientView


class JobClients(ClientView):
    """Reads the membership and the epoch of a coordinator; has no state of its own."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator

    @override
    def count(self, state: str) -> int:
        membership = self._coordinator.membership
        counts = {
            LIVE: membership.live_count,
            LOST: membership.lost_count,
            EXCLUDED: membership.excluded_count,
        }
        return counts[state]

    @override
    def names(self, state: str) -> tuple[str, ...]:
        membership = self._coordinator.membership
        names = {LIVE: membership.live_names, LOST: membership.lost, EXCLUDED: membership.excluded}
        return names[state]()

    @override
    def is_live(self, client: str) -> bool:
        return self._coordinator.membership.session(client) is not None

    @override
    def remaining(self, client: str) -> int:
        membership, epoch = self._coordinator.membership, self._coordinator.epoch
        return epoch.remaining(client, membership.member(client).samples) if client in membership else 0
