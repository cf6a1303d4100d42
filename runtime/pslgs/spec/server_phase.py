"""Phases of a run, as a server reports them at /status and as the operator reads them."""

from enum import StrEnum


class ServerPhase(StrEnum):
    """Phases of a run."""

    STARTING = "Starting"
    """Reading the model, the data and the checkpoint to resume from."""
    WAITING = "Waiting"
    """Waiting for clients."""
    TRAINING = "Training"
    EVALUATING = "Evaluating"
    FINISHED = "Finished"
    INTERRUPTED = "Interrupted"
    """Stopped by a signal; the run can be resumed."""
    FAILED = "Failed"
