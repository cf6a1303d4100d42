"""Numbers and times as a report shows them."""

from datetime import UTC, datetime


def count(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 step``, ``1,000 steps``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def percent(part: float) -> str:
    """Return a part of 1 in percent, with one digit after the point."""
    return f"{100 * part:.1f} %"


def duration(seconds: float) -> str:
    """Return a time span: ``4.2 s``, ``3 min 07 s``, ``2 h 05 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds) // 60
    if minutes < 60:
        return f"{minutes} min {round(seconds) % 60:02} s"
    return f"{minutes // 60:,} h {minutes % 60:02} min"


def moment(unix_time: float) -> str:
    """Return a point in time, in UTC and to the second."""
    return datetime.fromtimestamp(unix_time, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
