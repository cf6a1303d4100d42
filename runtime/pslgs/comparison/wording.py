"""Accuracies in words."""

from pslgs.comparison.rows import Spread
from pslgs.reporting.wording import SPACE, percent

_LEVEL = 0.0005
"""Accuracies that differ by less are the same in print."""


def accuracy(value: Spread) -> str:
    """Return an accuracy with its spread over seeds: ``96.1 % ± 0.3``."""
    return percent(value.mean) + (f"{SPACE}±{SPACE}{100 * value.deviation:.1f}" if value.deviation else "")


def gap(one: Spread, other: Spread) -> str:
    """Say how an accuracy compares with another: ``7.9 points lower``."""
    difference = one.mean - other.mean
    if abs(difference) < _LEVEL:
        return "level"
    return f"{100 * abs(difference):.1f} points {'higher' if difference > 0 else 'lower'}"
