"""Quantities that must not grow, and what was measured of them."""

import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from soak.trend import Trend, Verdict, trend

_MEMORY = "MiB"
_ALLOWED_MIB = 10.0
_ALLOWED_SHARE = 0.05
_ALLOWED_COUNT = 1.0


@dataclass(slots=True)
class Gauges:
    """Values of quantities, by their names, over time."""

    began: float = field(default_factory=time.monotonic)
    _values: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.began

    def note(self, name: str, value: float) -> None:
        """Keep a value of now; the name of a quantity of memory ends with ``MiB``."""
        self._values[name].append((self.elapsed, value))

    def note_process(self, name: str, pid: int) -> None:
        """Keep what a process uses; nothing of one that has just ended."""
        try:
            status = Path(f"/proc/{pid}/status").read_text().splitlines()
            files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        except OSError:
            return
        found = dict(line.split(":", 1) for line in status)
        if "VmRSS" in found:
            self.note(f"{name}: memory, {_MEMORY}", int(found["VmRSS"].split()[0]) / 1024)
            self.note(f"{name}: threads", int(found["Threads"]))
            self.note(f"{name}: descriptors", files)

    def trends(self) -> dict[str, Trend]:
        """Return the trend of each quantity."""
        return {name: _trend(name, values) for name, values in self._values.items()}


def _trend(name: str, values: list[tuple[float, float]]) -> Trend:
    times, numbers = zip(*values, strict=True)
    if name.endswith(_MEMORY):
        return trend(times, numbers, _ALLOWED_MIB)
    return trend(times, numbers, max(_ALLOWED_COUNT, _ALLOWED_SHARE * sorted(numbers)[len(numbers) // 2]))


def table(trends: dict[str, Trend]) -> str:
    """Write trends as a Markdown table."""
    rows = ["| quantity | median | slope per hour (95 %) | allowed | |", "| --- | --- | --- | --- | --- |"]
    for name, each in trends.items():
        slope = f"{each.low:+.2f} … {each.high:+.2f} | {each.allowed:+.1f}"
        rows.append(f"| {name} | {each.level:.1f} | {slope} | {each.verdict} |")
    return "\n".join(rows)


def is_flat(trends: dict[str, Trend], *, unclear: bool = False) -> bool:
    """Whether something was measured and all of it is flat, or ``unclear`` where that is accepted."""
    accepted = {Verdict.FLAT, Verdict.UNCLEAR} if unclear else {Verdict.FLAT}
    return bool(trends) and all(each.verdict in accepted for each in trends.values())
