"""Formatting of numbers, percentages and durations in reports."""

from collections.abc import Sequence
from datetime import UTC, datetime

SPACE = "\N{NO-BREAK SPACE}"


def count(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 step``, ``1,000 steps``."""
    return f"{number:,}{SPACE}{noun}" + ("" if number == 1 else "s")


def named(names: Sequence[str], limit: int = 10) -> str:
    """Return names as a list; of those above ``limit`` only their number: ``a, b and 5 more``."""
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def percent(part: float) -> str:
    """Return a fraction in percent, with one decimal: ``12.3 %``."""
    return f"{100 * part:.1f}{SPACE}%"


def duration(seconds: float) -> str:
    """Return a duration in seconds as text: ``4.2 s``, ``3 min 07 s``, ``2 h 05 min``."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f}{SPACE}s"
    minutes = round(seconds) // 60
    if minutes < 60:
        return f"{minutes}{SPACE}min {round(seconds) % 60:02}{SPACE}s"
    return f"{minutes // 60:,}{SPACE}h {minutes % 60:02}{SPACE}min"


def moment(unix_time: float) -> str:
    """Return a Unix time in seconds as date and time in UTC: ``2025-01-31 12:00:00 UTC``."""
    return datetime.fromtimestamp(unix_time, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
