"""Whether there are enough clients to train."""

from pslgs.coordination.roster import Roster
from pslgs.coordination.settings import Settings
from pslgs.spec.faults import OnLostClient


def lacking(roster: Roster, settings: Settings, *, started: bool) -> str | None:
    """Say in a sentence what training needs and has not; None where nothing is lacking."""
    live = roster.live_count
    if live < settings.quorum:
        return f"{live} of at least {settings.quorum} clients are connected{_lost(roster)}"
    if not roster.live_samples:
        return f"none of the {live} connected clients has training samples{_lost(roster)}"
    if started and settings.on_lost is OnLostClient.WAIT and live < len(roster):
        return f"spec.faultTolerance.onLostClient is Wait{_lost(roster)}"
    return None


def may_start(roster: Roster, settings: Settings, since_last_join: float) -> bool:
    """Tell whether a quorum may take its first step, ``since_last_join`` seconds after a client last joined.

    It waits for the clients that are expected, but not for longer than a client may owe any other answer.
    Clients that the checkpoint knows are also given the time that their way back to the server may take:
    a resumed run equals an undisturbed one only if it begins with all of them.
    """
    if roster.live_count >= max(settings.expected_clients, len(roster)):
        return True
    known_are_missing = roster.live_count < len(roster)
    patience = settings.client_timeout
    return since_last_join > (max(patience, settings.return_seconds) if known_are_missing else patience)


def _lost(roster: Roster) -> str:
    lost = roster.lost()
    return f"; lost: {', '.join(lost)}" if lost else ""
