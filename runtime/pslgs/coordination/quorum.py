"""Whether training may run with the connected clients, and how long it waits for more of them."""

from enum import Enum, auto

from pslgs.coordination.membership import Membership
from pslgs.coordination.settings import Settings
from pslgs.sampling.batch_size import batch_size_violation
from pslgs.spec.errors import Violation
from pslgs.spec.exit_codes import ExitCode
from pslgs.spec.fault_tolerance import OnLostClient


class Missing(Enum):
    """What training needs and does not have."""

    QUORUM = auto()
    SAMPLES = auto()
    LOST_CLIENTS = auto()
    GLOBAL_BATCH = auto()


class Quorum:
    """Decides whether training may run.

    Attributes:
        started: Whether training has begun in this process; set by the coordinator.
    """

    def __init__(self, membership: Membership, settings: Settings, now: float) -> None:
        self.started = False
        self._membership = membership
        self._settings = settings
        self._last_join = now
        self._waiting_since = now

    def record_join(self, now: float) -> None:
        """Record that a client joined."""
        self._last_join = now

    def restart_wait(self, now: float) -> None:
        """Count the wait for missing clients from ``now`` on."""
        self._waiting_since = now

    def extend_waits(self, seconds: float, now: float) -> None:
        """Extend every wait by ``seconds``, during which the server was held up."""
        self._last_join = min(self._last_join + seconds, now)
        self._waiting_since = min(self._waiting_since + seconds, now)

    def is_met(self, now: float) -> bool:
        """Return whether training may run now."""
        return not self.missing() and (self.started or self._may_start(now))

    def is_lost(self, now: float) -> bool:
        """Return whether something has been missing for longer than the job may wait for it.

        Samples for a global batch may come with a client that joins: not only the expected ones do, so their
        number does not tell that all are there.
        """
        match self.missing():
            case None:
                return False
            case Missing.GLOBAL_BATCH:
                return now - self._last_join > self._settings.client_timeout
            case _:
                return now - self._waiting_since > self._settings.quorum_timeout

    def why_lost(self) -> tuple[ExitCode, str]:
        """Return with which exit code and message the job ends that waited too long."""
        if self.missing() is Missing.GLOBAL_BATCH:
            return ExitCode.BAD_INPUT, str(self._batch_size_violation())
        waited = f"waited {self._settings.quorum_timeout:g} s (spec.faultTolerance.quorumTimeoutSeconds)"
        return ExitCode.QUORUM_LOST, f"{self.missing_requirement()}; {waited}"

    def missing(self) -> Missing | None:
        """Return what is missing for training; None if nothing is."""
        membership, settings = self._membership, self._settings
        if membership.live_count < settings.quorum:
            return Missing.QUORUM
        if not membership.live_samples:
            return Missing.SAMPLES
        if self.started and settings.on_lost is OnLostClient.WAIT and membership.lost_count:
            return Missing.LOST_CLIENTS
        if len(membership) >= settings.expected_clients and self._batch_size_violation():
            return Missing.GLOBAL_BATCH
        return None

    def missing_requirement(self) -> str | None:
        """Describe what is missing, with names of lost clients; None if nothing is.

        Takes time proportional to the number of lost clients.
        """
        live = self._membership.live_count
        match self.missing():
            case Missing.QUORUM:
                expected, quorum = self._settings.expected_clients, self._settings.quorum
                connected = f"{live} of {expected} expected clients connected"
                known = "" if self.started else self._membership.lost_in_words()
                if known:  # clients of the checkpoint, for which a resumed job waits first
                    return f"{connected}; not back yet: {known}"
                needed = "" if quorum == expected else f", {quorum} needed"
                return f"{connected}{needed}{self._lost()}"
            case Missing.SAMPLES:
                return f"none of the {live} connected clients has training samples{self._lost()}"
            case Missing.LOST_CLIENTS:
                return f"spec.faultTolerance.onLostClient is Wait{self._lost()}"
            case Missing.GLOBAL_BATCH:
                return str(self._batch_size_violation())
            case None:
                return None

    def _batch_size_violation(self) -> Violation | None:
        return batch_size_violation(self._settings.global_batch_size, self._membership.pooled_samples)

    def _may_start(self, now: float) -> bool:
        """Return whether the connected clients may begin to train.

        It waits for the expected clients, but after the last join no longer than for any other reply of a
        client.  Clients that the checkpoint knows also get the time that they may need to reconnect: a
        resumed run equals an undisturbed one only if it begins with all of them.
        """
        membership, settings = self._membership, self._settings
        if membership.live_count >= max(settings.expected_clients, len(membership)):
            return True
        patience = settings.client_timeout
        if membership.live_count < len(membership):
            patience = max(patience, settings.return_seconds)
        return now - self._last_join > patience

    def _lost(self) -> str:
        lost = self._membership.lost_in_words()
        return f"; lost: {lost}" if lost else ""
