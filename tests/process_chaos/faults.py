"""Faults of the processes and the disk of a run, and their order, which a seed determines."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np


class Kind(StrEnum):
    """What happens to a run."""

    CLIENT_KILLED = "a client ends by SIGKILL"
    CLIENT_QUIT = "a client ends by SIGQUIT"
    CLIENT_HUNG_UP = "a client ends by SIGHUP"
    CLIENT_OUT_OF_MEMORY = "the kernel ends a client for want of memory"
    MEMORY_WITHHELD = "a process gets no memory for a while, shorter than the time-outs, and waits for it"
    STOPPED = "a process is stopped by SIGSTOP for a while, shorter than the time-outs"
    CLOCK_SET = "the wall clock is set to another hour"
    DISK_FULL = "the disk is full for a while"
    CHECKPOINTS_READ_ONLY = "the folder of the checkpoints is read-only for a while"
    SERVER_KILLED = "the server ends by SIGKILL"
    SERVER_QUIT = "the server ends by SIGQUIT"
    SERVER_HUNG_UP = "the server ends by SIGHUP"
    SERVER_OUT_OF_MEMORY = "the kernel ends the server for want of memory"
    SERVER_TERMINATED = "the server ends by SIGTERM"
    COMMAND_KILLED = "pslgs run ends by SIGKILL"
    COMMAND_QUIT = "pslgs run ends by SIGQUIT"
    COMMAND_TERMINATED = "pslgs run is asked to end by SIGTERM"
    COMMAND_INTERRUPTED = "Ctrl-C is pressed in the terminal"
    TERMINAL_CLOSED = "the terminal is closed"
    FORK_SERVER_KILLED = "the process from which server and clients were forked ends by SIGKILL"


OF_CLIENTS = frozenset({Kind.CLIENT_KILLED, Kind.CLIENT_QUIT, Kind.CLIENT_HUNG_UP, Kind.CLIENT_OUT_OF_MEMORY})
"""After these the rest of the epoch is drawn anew: each sample still counts once, but in other batches."""

OF_DISKS = frozenset({Kind.DISK_FULL, Kind.CHECKPOINTS_READ_ONLY})
"""These need a file system of the test's own."""

OF_MEMORY = frozenset({Kind.CLIENT_OUT_OF_MEMORY, Kind.SERVER_OUT_OF_MEMORY, Kind.MEMORY_WITHHELD})
"""These need version 1 of control groups."""

PASSING = OF_CLIENTS | OF_DISKS | {Kind.STOPPED, Kind.MEMORY_WITHHELD, Kind.CLOCK_SET}
"""After these the run goes on by itself; the others end it, and it has to be resumed."""

EXACT = frozenset(Kind) - OF_CLIENTS
"""After these the model is bit-identical to that of an undisturbed run."""

_PASSING_SHARE = 0.7
_STEPS = (1, 9)
_SECONDS = (0.2, 1.0)


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of a run, or of the cluster in which a job runs.

    Attributes:
        kind: What happens.
        after: Number of further steps before it happens.
        victim: A number that selects one of those that it can happen to.
        seconds: How long it lasts, if it passes by itself.
    """

    kind: StrEnum
    after: int
    victim: int
    seconds: float


def draw(kinds: Sequence[Kind], count: int, seed: int) -> list[Fault]:
    """Draw faults of these kinds; every kind occurs before one occurs for the second time.

    Most are of kinds that pass, because after another one the processes have to be started again.
    """
    rng = np.random.default_rng(seed)
    groups = [
        group
        for group in (
            [kind for kind in kinds if kind in PASSING],
            [kind for kind in kinds if kind not in PASSING],
        )
        if group
    ]
    drawn: list[Kind] = []
    queues: list[list[Kind]] = [[] for _ in groups]
    for _ in range(count):
        chosen = int(len(groups) > 1 and rng.random() > _PASSING_SHARE)
        if not queues[chosen]:
            queues[chosen] = [groups[chosen][index] for index in rng.permutation(len(groups[chosen]))]
        drawn.append(queues[chosen].pop())
    return [
        Fault(kind, int(rng.integers(*_STEPS)), int(rng.integers(2**31)), float(rng.uniform(*_SECONDS)))
        for kind in drawn
    ]
