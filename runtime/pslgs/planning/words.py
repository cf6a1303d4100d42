"""Amounts as a plan prints them: short, with the unit that suits their size."""

from collections.abc import Sequence
from typing import Final

_STEPS: Final = (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3))


def short(number: float) -> str:
    """Return a number with three digits and a prefix: ``950``, ``11.2 M``."""
    prefix, scale = next(((name, size) for name, size in _STEPS if abs(number) >= size * 0.9995), ("", 1.0))
    return f"{_three_digits(number / scale)} {prefix}".rstrip()


def bytes_of(number: float) -> str:
    """Return a number of bytes: ``512 B``, ``33.6 MB``."""
    amount = short(number)
    return f"{amount}B" if " " in amount else f"{amount} B"


def bandwidth(bits_per_second: float) -> str:
    """Return a bandwidth: ``100 Mbit/s``."""
    amount = short(bits_per_second)
    return f"{amount}bit/s" if " " in amount else f"{amount} bit/s"


def speed(flops: float) -> str:
    """Return a computing speed: ``35.2 GFLOP/s``."""
    amount = short(flops)
    return f"{amount}FLOP/s" if " " in amount else f"{amount} FLOP/s"


def seconds(duration: float) -> str:
    """Return a time span: ``850 µs``, ``1.31 s``, ``3 min 07 s``, ``2 h 05 min``, ``4.2 days``."""
    if duration < 59.95:
        for unit, size in (("s", 1.0), ("ms", 1e-3)):
            if duration >= size * 0.9995 or duration == 0:
                return f"{_three_digits(duration / size)} {unit}"
        return f"{_three_digits(duration / 1e-6)} µs"
    minutes, rest = divmod(round(duration), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes < 48 * 60 else f"{minutes / 1440:.1f} days"


def percent(part: float) -> str:
    """Return a part of 1: ``42 %``."""
    return f"{100 * part:.0f} %"


def shape(dimensions: Sequence[int]) -> str:
    """Return a shape: ``64×32×32``."""
    return "×".join(map(str, dimensions)) or "1"


def _three_digits(number: float) -> str:
    decimals = 0 if abs(number) >= 99.95 else 1 if abs(number) >= 9.995 else 2
    text = f"{number:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if decimals else text
