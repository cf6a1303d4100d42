"""Whether there are enough clients to train."""

from pslgs.coordination.roster import Roster
from pslgs.coordination.settings import Settings
from pslgs.spec.faults import OnLostClient


def lacking(roster: Roster, settings: Settings, *, started: bool) -> str | None:
    """Say in a sentence what training needs and has not; None where nothing is lacking."""
    live, lost = roster.live(), roster.lost()
    named = f"; lost: {', '.join(lost)}" if lost else ""
    if len(live) < settings.quorum:
        return f"{len(live)} of at least {settings.quorum} clients are connected{named}"
    if not any(member.samples for member in live.values()):
        return f"none of the {len(live)} connected clients has training samples{named}"
    if started and settings.on_lost is OnLostClient.WAIT and lost:
        return f"spec.faultTolerance.onLostClient is Wait{named}"
    return None


def may_start(roster: Roster, settings: Settings, since_last_join: float) -> bool:
    """Tell whether a quorum may take its first step.

    It waits for the clients that are expected, those of the checkpoint among them, but not for longer than
    a client may owe any other answer.
    """
    everybody = len(roster.live()) >= max(settings.expected_clients, len(roster))
    return everybody or since_last_join > settings.client_timeout
