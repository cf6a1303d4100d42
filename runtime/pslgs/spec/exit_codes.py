"""Exit codes of the containers and commands, which the operator and scripts read."""

import signal
from enum import IntEnum


class ExitCode(IntEnum):
    """Reasons for which a process ends; the operator does not retry what would end in the same way."""

    FINISHED = 0
    """The training is complete, and the model has been written."""
    INTERNAL_ERROR = 1
    """The program failed unexpectedly; the log has the traceback.  Of ``pslgs status --watch``: the job has
    failed, which no other code of this command says."""
    BAD_INPUT = 2
    """The manifest, or something that it names (layer, path, dataset), is invalid; a retry would fail too."""
    QUORUM_LOST = 3
    """Fewer than ``faultTolerance.minAvailableClients`` were available for ``quorumTimeoutSeconds``."""
    CLIENT_LOST = 4
    """A client was lost and ``faultTolerance.onLostClient`` is Fail."""
    DEADLINE_EXCEEDED = 5
    """The job has run for ``activeDeadlineSeconds``."""
    SERVER_UNREACHABLE = 6
    """A client could not reach the server within the time given to it."""
    REFUSED = 7
    """The server refused this client because of its certificate, identity or job, or what it sent."""
    DIVERGED = 8
    """The loss or the parameters became infinite or NaN, and no client sent such values."""
    NON_FINITE = 9
    """Clients sent values that are not finite, and ``faultTolerance.onNonFinite`` ends the job."""
    DROPPED = 10
    """The server dropped this client, because it sent values that are not finite."""
    HOSTILE_CLIENT = 11
    """A client violated the protocol, and ``faultTolerance.onHostile`` is Fail."""
    INTERRUPTED = 75
    """A signal stopped the process; a checkpoint has been written and the run can be resumed."""


def described_end(exit_code: int | None) -> str:
    """Say how a process ended, as the end of a sentence about it; its code is negative for a signal."""
    if exit_code is None or exit_code >= 0:
        return f"ended with the exit code {exit_code}"
    name = signal.Signals(-exit_code).name
    return f"was killed by {name}" + (", perhaps for lack of memory" if name == "SIGKILL" else "")
