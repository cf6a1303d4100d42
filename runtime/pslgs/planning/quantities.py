"""Links, memory and speeds as people write them: ``100Mbps``, ``20ms``, ``2GiB``, ``50G``."""

import math
import re
from collections.abc import Mapping
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
        InputError: the text is no bandwidth above 0.
    """
    return _positive(_quantity(text, "--bandwidth", _BANDWIDTHS, "100Mbps"), text, "--bandwidth")


def parse_latency(text: str) -> float:
    """Return seconds.

    Raises:
        InputError: the text is no time.
    """
    return _quantity(text, "--latency", _TIMES, "20ms")


def parse_memory(text: str) -> int:
    """Return bytes.

    Raises:
        InputError: the text is no amount of memory above 0.
    """
    option = "--client-memory"
    return math.floor(_positive(_quantity(text, option, _MEMORY, "2GiB"), text, option))


def parse_speed(text: str, option: str) -> float:
    """Return floating-point operations per second; ``option`` is where the text comes from.

    Raises:
        InputError: the text is no speed above 0.
    """
    return _positive(_quantity(text, option, _SPEEDS, "50G"), text, option)


def parse_sizes(text: str) -> tuple[int, ...]:
    """Return the samples of each client of ``1000,2000``.

    Raises:
        InputError: an entry is no whole number.
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
