"""Parsing and printing of quantities with units: ``100Mbps``, ``20ms``, ``2GiB``, ``50G``."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Final

from pslgs.spec.errors import InputError

_NUMBER: Final = re.compile(r"\s*([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)\s*([A-Za-zµ/]*)\s*")

_PREFIXES: Final = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
_BINARY: Final = {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}
_BANDWIDTHS: Final = {f"{prefix}{unit}": n for prefix, n in _PREFIXES.items() for unit in ("bps", "bit/s")}
_TIMES: Final = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6}
_MEMORY: Final = {f"{prefix}{unit}": n for prefix, n in (_PREFIXES | _BINARY).items() for unit in ("B", "")}
_SPEEDS: Final = {f"{prefix}{unit}": n for prefix, n in _PREFIXES.items() for unit in ("FLOPS", "FLOP/s", "")}


def parse_bandwidth(text: str) -> float:
    """Return bits per second.

    Raises:
        InputError: the text is not a bandwidth above 0.
    """
    return _positive(_quantity(text, "--bandwidth", _BANDWIDTHS, "100Mbps"), text, "--bandwidth")


def parse_latency(text: str) -> float:
    """Return seconds.

    Raises:
        InputError: the text is not a time.
    """
    return _quantity(text, "--latency", _TIMES, "20ms")


def parse_memory(text: str) -> int:
    """Return bytes.

    Raises:
        InputError: the text is not an amount of memory above 0.
    """
    option = "--client-memory"
    return math.floor(_positive(_quantity(text, option, _MEMORY, "2GiB"), text, option))


def parse_speed(text: str, option: str) -> float:
    """Return floating-point operations per second; ``option`` is where the text comes from.

    Raises:
        InputError: the text is not a speed above 0.
    """
    return _positive(_quantity(text, option, _SPEEDS, "50G"), text, option)


def parse_sizes(text: str) -> tuple[int, ...]:
    """Return the samples of each client in a text such as ``1000,2000``.

    Raises:
        InputError: an entry is not a whole number.
    """
    entries = [entry.strip() for entry in text.split(",")]
    if not all(entry.isdecimal() for entry in entries):
        raise InputError.at(
            "--dataset-sizes",
            f"is '{text}', must be whole numbers with commas between them, such as 1000,2000",
        )
    return tuple(map(int, entries))


def _quantity(text: str, option: str, units: Mapping[str, float], example: str) -> float:
    match = _NUMBER.fullmatch(text)
    if match is None or match[2] not in units:
        raise InputError.at(option, f"is '{text}', must be a number with its unit, such as {example}")
    return float(match[1]) * units[match[2]]


def _positive(value: float, text: str, option: str) -> float:
    if value <= 0:
        raise InputError.at(option, f"is '{text}', must be above 0")
    return value


_STEPS: Final = (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3))


def short(number: float) -> str:
    """Return a number with three digits and a prefix: ``950``, ``11.2 M``."""
    prefix, scale = next(((name, size) for name, size in _STEPS if abs(number) >= size * 0.9995), ("", 1.0))
    return f"{_three_digits(number / scale)} {prefix}".rstrip()


def bytes_of(number: float) -> str:
    """Return a number of bytes: ``512 B``, ``33.6 MB``."""
    return _with_unit(number, "B")


def bandwidth(bits_per_second: float) -> str:
    """Return a bandwidth: ``100 Mbit/s``."""
    return _with_unit(bits_per_second, "bit/s")


def operations(number: float) -> str:
    """Return a number of floating-point operations: ``256 FLOP``, ``1.2 MFLOP``."""
    return _with_unit(number, "FLOP")


def flops(flops: float) -> str:
    """Return a computing speed: ``35.2 GFLOP/s``."""
    return _with_unit(flops, "FLOP/s")


def _with_unit(number: float, unit: str) -> str:
    amount = short(number)
    return f"{amount}{unit}" if " " in amount else f"{amount} {unit}"


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


def whole_percent(part: float) -> str:
    """Return a part of 1: ``42 %``."""
    return f"{100 * part:.0f} %"


def shape(dimensions: Sequence[int]) -> str:
    """Return a shape: ``64×32×32``."""
    return "×".join(map(str, dimensions)) or "1"


def _three_digits(number: float) -> str:
    decimals = 0 if abs(number) >= 99.95 else 1 if abs(number) >= 9.995 else 2
    text = f"{number:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if decimals else text
