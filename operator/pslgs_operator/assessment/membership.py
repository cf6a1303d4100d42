"""Which clients take part, and which were lost."""

from dataclasses import dataclass
from typing import Final

from pslgs_operator.assessment.view import View
from pslgs_operator.snapshot import ServerReport
from pslgs_operator.status.types import Clients

_NAMED: Final = 20


@dataclass(frozen=True, slots=True)
class Membership:
    """The clients of a job at this moment.

    Attributes:
        live: Those that take part according to the server; none while it does not answer.
        lost: Those that took part and have not come back.
        expected: How many there should be, those among them whose node is gone.
    """

    live: frozenset[str]
    lost: frozenset[str]
    expected: int


def find_membership(view: View) -> Membership:
    """Return which clients take part; one that was lost stays so until a server reports that it is back."""
    before = view.job.status.clients.lost
    report = view.report or ServerReport("")
    live = frozenset(report.live)
    lost = frozenset(report.lost).union(before) - live
    placed = {placement.client for placement in view.placements.clients}
    return Membership(live, lost, len(live | lost | placed))


def counted(members: Membership, old: Clients) -> Clients:
    """Count the clients; names of lost ones are kept, so that the same observations give the same names."""
    kept = sorted(members.lost.intersection(old.lost))
    named = [*kept, *sorted(members.lost.difference(kept))][:_NAMED]
    return Clients(members.expected, len(members.live), tuple(sorted(named)), len(members.lost))


def final_count(old: Clients, report: ServerReport | None, expected: int) -> Clients:
    """Count the clients at the end: in the server's last words, or else as they were known last."""
    expected = old.expected or expected
    if report is None or report.live_count is None:
        return Clients(expected, old.live, old.lost, old.lost_count)
    lost = report.lost_count or 0
    return Clients(expected, report.live_count, old.lost[:lost], lost)
