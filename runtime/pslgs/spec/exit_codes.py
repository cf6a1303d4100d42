"""The exit codes of the containers and commands, read by the operator and by scripts."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Why a process ended.  Configuration errors are not worth a retry, the rest are."""

    FINISHED = 0
    """The training is complete, and the model is written."""
    INTERNAL_ERROR = 1
    """A fault of the program itself; the log has the traceback."""
    BAD_INPUT = 2
    """The manifest or what it names (layer, path, dataset) cannot be used; a retry would fail alike."""
    QUORUM_LOST = 3
    """Fewer clients than ``faultTolerance.minAvailableClients`` for longer than the quorum time-out."""
    CLIENT_LOST = 4
    """A client was lost and ``faultTolerance.onLostClient`` is Fail."""
    DEADLINE_EXCEEDED = 5
    """The job ran for longer than ``activeDeadlineSeconds``."""
    SERVER_UNREACHABLE = 6
    """A client found no server within its patience."""
    REFUSED = 7
    """The server refused this client: certificate, identity or another job."""
    INTERRUPTED = 75
    """Stopped by a signal; the checkpoint is written and the run can be resumed."""
