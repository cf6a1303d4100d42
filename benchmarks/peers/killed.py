"""What becomes of a run when one of its clients is killed."""

import tempfile
import time
from itertools import pairwise
from pathlib import Path

from benchmarks.peers.observed import kill
from benchmarks.peers.records import follow, read
from benchmarks.peers.systems import Run, System

WATCHED = 150.0
"""Seconds for which a run is watched after a client was killed."""


def watch(system: System, commands: Path) -> list[str]:
    """Kill a client of a run; say what became of the run."""
    before = 4 if system.limit < 100 else 100
    with tempfile.TemporaryDirectory(prefix="peers-", ignore_cleanup_errors=True) as folder:
        run = Run(Path(folder), commands)
        try:
            system.start(run, 1000)
            follow(system, run, before)
            victims = system.victims(run)
            killed = time.time()
            for process in victims:
                kill(process)
            said = [f"killed {len(victims)} processes after {before} steps"]
            while time.time() < killed + WATCHED and not run.ended:
                time.sleep(1)
            said.append(f"ended: {run.started[-1].poll()}" if run.ended else "still there")
            steps = read(run.folder / system.log).steps
        finally:
            run.marked.end()
    after = [step for step in steps if step.time > killed]
    said.append(f"steps after: {len(after)}")
    ends = [killed, *(step.time for step in after)]
    gaps = sorted(((later - earlier, earlier - killed) for earlier, later in pairwise(ends)), reverse=True)
    said += [f"{gap:.1f} s without a step, from {since:.1f} s after" for gap, since in gaps[:3]]
    changes = [
        one
        for one, other in zip(after, [None, *after], strict=False)
        if not other or one.clients != other.clients
    ]
    said += [f"{each.clients} clients from {each.time - killed:.1f} s after" for each in changes[:8]]
    return said
