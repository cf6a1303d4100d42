"""Courses of many cells as single lines, to be drawn."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pslgs.comparison.outcome import Evaluation, Outcome
from pslgs.simulation.result import Steps

BINS = 40
Floats = NDArray[np.float64]


class Line(NamedTuple):
    """A mean over seeds, with the lowest and highest of them; all of shape (points,)."""

    x: Floats
    mean: Floats
    low: Floats
    high: Floats


def over_the_epoch(outcomes: Sequence[Outcome], column: Callable[[Steps], Floats]) -> Line:
    """Condense a figure of the steps to `BINS` parts of an epoch, all epochs and seeds together.

    Epochs of different lengths are laid over each other: ``x`` is the part of the epoch that is over.  Low
    and high are those of the parts' means in single seeds.
    """
    rows = np.array([_profile(each.steps, column(each.steps)) for each in outcomes])
    known = ~np.isnan(rows).all(axis=0)
    x = (np.arange(BINS) + 0.5)[known] / BINS
    rows = rows[:, known]
    return Line(x, np.nanmean(rows, axis=0), np.nanmin(rows, axis=0), np.nanmax(rows, axis=0))


def accuracies(
    outcomes: Sequence[Outcome],
    figure: Callable[[Evaluation], float | None],
    place: Callable[[Outcome, Evaluation], float],
) -> Line:
    """Lay the accuracies of all seeds over each other, evaluation by evaluation, at their mean place."""
    length = min((len(each.evaluations) for each in outcomes), default=0)
    values = np.array(
        [[figure(each.evaluations[i]) for i in range(length)] for each in outcomes], dtype=np.float64
    )
    places = np.array([[place(each, each.evaluations[i]) for i in range(length)] for each in outcomes])
    if not values.size or np.isnan(values).any() or np.isnan(places).any():
        return Line(*(np.empty(0) for _ in Line._fields))
    return Line(places.mean(axis=0), values.mean(axis=0), values.min(axis=0), values.max(axis=0))


def _profile(steps: Steps, values: Floats) -> Floats:
    """Return the mean of ``values`` in each part of an epoch; NaN in parts without a known one."""
    part = np.empty(len(steps), dtype=np.int64)
    for epoch in np.unique(steps.epoch):
        members = np.flatnonzero(steps.epoch == epoch)
        part[members] = np.arange(len(members)) * BINS // len(members)
    known = ~np.isnan(values)
    number = np.bincount(part[known], minlength=BINS)
    total = np.bincount(part[known], values[known], minlength=BINS)
    profile = np.full(BINS, np.nan)
    profile[number > 0] = total[number > 0] / number[number > 0]
    return profile
