"""Measures what a hostile client costs the honest ones: steps per second with it and without.

GRPC_VERBOSITY=ERROR PYTHONPATH=tests python -m benchmarks.hostile [--seconds 5] [--only no-answer]

A server and two honest clients, which take 5 ms for each answer, are in one process on one core; the attacker
is in another, on a core of its own as if it were another machine, and repeats its behaviour for as long as it
is measured.  `pslgs server` sets the same verbosity of gRPC.
"""

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from hostile.behaviours import BEHAVIOURS, Behaviour
from hostile.client import Known
from hostile.victim import Victim

TIMEOUT = 2
"""Seconds that a client may take for an answer."""

HOLDING_UP_SECONDS = 30 * TIMEOUT
"""Time for which those are measured that hold up a step until they time out.

Such a client has to wait the longer for its next turn, the more often it did that; the first time is free.
"""

OWN_CORE, *_, CORE_OF_THE_ATTACKER = sorted(os.sched_getaffinity(0)) * 2

WARM_UP_SECONDS = 1.0
"""Time for which an attacker acts before it is measured."""


class Measured(NamedTuple):
    """Steps per second without and with an attacker.

    Attributes:
        undisturbed: Mean of the rates before and after the attack.
        attacked: During the attack.
        memory: Largest growth of the process of server and honest clients, in bytes.
        health_seconds: Longest time for an answer of /healthz during the attack.
    """

    behaviour: Behaviour
    undisturbed: float
    attacked: float
    memory: int
    health_seconds: float

    @property
    def share(self) -> float:
        """Part of the steps that are left; 0 if there are none before and after."""
        return self.attacked / self.undisturbed if self.undisturbed else 0.0


def main() -> None:
    """Measure each behaviour, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="for which each rate is measured")
    names = [each.name for each in BEHAVIOURS]
    parser.add_argument("--only", nargs="+", default=names, choices=names, help="what the client does")
    arguments = parser.parse_args()
    logging.disable()
    os.sched_setaffinity(0, {OWN_CORE})
    behaviours = [each for each in BEHAVIOURS if each.name in arguments.only]
    print("| hostile client | steps/s | with it | share | memory, MB | /healthz, ms |")
    print("|---|---|---|---|---|---|")
    shares = []
    with (
        tempfile.TemporaryDirectory() as folder,
        Victim(Path(folder), [each.name for each in behaviours], clientTimeoutSeconds=TIMEOUT) as victim,
    ):
        for each in behaviours:
            measured = measure(victim, each, arguments.seconds)
            shares.append(measured.share)
            print(row(measured), flush=True)
    print(f"\nsmallest share {min(shares):.0%}, median {statistics.median(shares):.0%}")


def measure(victim: Victim, behaviour: Behaviour, seconds: float) -> Measured:
    """Measure a behaviour; each is done under a name of its own."""
    attack_seconds = HOLDING_UP_SECONDS if "timeout" in behaviour.seen_as else seconds
    before, memory = rate(victim, seconds / 2), resident(peak=False)
    with acting(behaviour, victim.known(behaviour.name)):
        time.sleep(WARM_UP_SECONDS)
        begun, steps, slowest = time.perf_counter(), victim.steps, 0.0
        while time.perf_counter() - begun < attack_seconds:
            asked = time.perf_counter()
            victim.get("healthz")
            slowest = max(slowest, time.perf_counter() - asked)
            time.sleep(0.1)
        attacked = (victim.steps - steps) / (time.perf_counter() - begun)
    grown = resident(peak=True) - memory
    return Measured(behaviour, (before + rate(victim, seconds / 2)) / 2, attacked, max(0, grown), slowest)


def rate(victim: Victim, seconds: float) -> float:
    """Return the steps per second."""
    begun, steps = time.perf_counter(), victim.steps
    time.sleep(seconds)
    return (victim.steps - steps) / (time.perf_counter() - begun)


def resident(*, peak: bool) -> int:
    """Return the resident memory of this process in bytes, its peak since the last call without ``peak``."""
    if not peak:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


@contextmanager
def acting(behaviour: Behaviour, known: Known) -> Iterator[None]:
    """Let a process do something again and again while the block runs."""
    given = asdict(known) | {"folder": str(known.folder), "digest": known.digest.hex()}
    command = sys.executable, "-m", "hostile", behaviour.name, json.dumps(given)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        os.sched_setaffinity(process.pid, {CORE_OF_THE_ATTACKER})  # before it starts threads
        try:
            if process.stdout is not None:
                process.stdout.readline()  # it is ready
            yield
        finally:
            process.kill()


def row(measured: Measured) -> str:
    """Format a row of the table."""
    cells = (
        measured.behaviour.name,
        f"{measured.undisturbed:.1f}",
        f"{measured.attacked:.1f}",
        f"{measured.share:.0%}",
        f"{measured.memory / 1e6:.0f}",
        f"{measured.health_seconds * 1e3:.0f}",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
