"""The record of a run under faults: how far it is, and whether it used each sample once."""

import json
from collections import Counter
from contextlib import suppress
from pathlib import Path

from pslgs.telemetry.journal import read
from pslgs.telemetry.records import StepRecord


def last_step(journal: Path) -> int:
    """Return the number of the last committed step; 0 without a journal."""
    if not journal.exists():
        return 0
    with journal.open("rb") as file:
        file.seek(max(0, journal.stat().st_size - (1 << 16)))
        for line in reversed(file.read().split(b"\n")[:-1]):
            with suppress(ValueError):
                document = json.loads(line)
                if document.get("kind") == StepRecord.kind:
                    return int(document["step"])
    return 0


def audit(journal: Path, epochs: int, samples: int) -> list[str]:
    """Return what is wrong with the record of a run in which every client stayed or returned.

    Each step must be there once, and each sample of each epoch in exactly one of them.
    """
    steps = [record for record in read(journal) if isinstance(record, StepRecord)]
    wrong = []
    if [record.step for record in steps] != list(range(1, len(steps) + 1)):
        wrong.append("steps are missing, double or out of order")
    used: Counter[tuple[int, str, int]] = Counter()
    for step in steps:
        for client, (offset, count) in step.allocation.items():
            used.update((step.epoch, client, position) for position in range(offset, offset + count))
    double = [sample for sample, times in used.items() if times > 1]
    if double:
        wrong.append(f"{len(double)} samples were used more than once, such as {double[0]}")
    if len(used) != epochs * samples:
        wrong.append(f"{len(used)} samples were used, not {epochs} x {samples}")
    return wrong
