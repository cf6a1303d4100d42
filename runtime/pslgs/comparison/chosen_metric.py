"""The metric by which a comparison judges strategies: its values, its target and how it is written.

It is the metric by which the job compares models, ``spec.metric``.
"""

import math
from typing import Final, NamedTuple

from pslgs.comparison.trial import Evaluation, TrialResult
from pslgs.reporting.formatting import SPACE, percent
from pslgs.spec.errors import InputError
from pslgs.spec.job import JobSpec
from pslgs.spec.metrics import LOWER_IS_BETTER, Metric, percentage, write_metric

TARGET: Final = "--target"
TARGET_ACCURACY: Final = "--target-accuracy"


class Spread(NamedTuple):
    """Mean and standard deviation of a figure over seeds.

    Attributes:
        mean: Mean over the seeds in which the figure is known.
        deviation: Sample standard deviation; 0 with a single seed.
    """

    mean: float
    deviation: float


def value_in(metric: Metric, evaluation: Evaluation) -> float | None:
    """Return the value of the job's metric in an evaluation; None if it is undefined."""
    return evaluation.accuracy if metric is Metric.ACCURACY else evaluation.value


def last_value(metric: Metric, result: TrialResult) -> float | None:
    """Return the value of the job's metric in the last evaluation; None without one."""
    return value_in(metric, result.evaluations[-1]) if result.evaluations else None


def target_of(spec: JobSpec, target: float | None, target_accuracy: float | None) -> float | None:
    """Return the target value of the job's metric; None if none is given.

    Args:
        spec: The job.
        target: Target value of its metric.
        target_accuracy: The same of a job whose metric is Accuracy.

    Raises:
        InputError: both are given, the job has another metric or no evaluation, or its metric never has that
            value.
    """
    given, option = (target_accuracy, TARGET_ACCURACY) if target is None else (target, TARGET)
    if given is None:
        return None
    metric = spec.chosen_metric
    if target is not None and target_accuracy is not None:
        raise InputError.at(TARGET_ACCURACY, f"is given beside {TARGET}; remove one of them")
    if option == TARGET_ACCURACY and metric is not Metric.ACCURACY:
        raise InputError.at(
            TARGET_ACCURACY,
            f"needs a job whose metric is Accuracy, but spec.metric is {metric}; give a value of {metric} by "
            f"{TARGET}, or set spec.metric, for example by --set spec.metric=Accuracy",
        )
    if spec.data.evaluation is None:
        raise InputError.at(option, "needs spec.data.evaluation, without which no model is evaluated; add it")
    if not math.isfinite(given) or (percentage(metric) and not 0 <= given <= 1):
        limits = "is from 0 to 1" if percentage(metric) else "is a finite number"
        raise InputError.at(option, f"is {given:g}, but {metric} {limits}; correct it")
    return given


_TARGET_PART: Final = 0.95
"""Default target as a share of the best strategy's value."""


def default_target(metric: Metric, best: float) -> float:
    """Return 95 % of the best value, or what is 5 % worse than it, rounded to the side that is easier."""
    if percentage(metric):
        return math.floor(100 * _TARGET_PART * best) / 100
    lower = metric in LOWER_IS_BETTER
    worse = best + (1 if lower else -1) * (1 - _TARGET_PART) * abs(best)
    if worse == 0:
        return 0.0
    digit = 10.0 ** (math.floor(math.log10(abs(worse))) - 2)  # three significant digits
    steps = round(worse / digit, 6)  # without the error of the division
    return float(f"{(math.ceil if lower else math.floor)(steps) * digit:.3g}")


def reaches(metric: Metric, value: float | None, target: float) -> bool:
    """Return whether a value is at least as good as the target."""
    return value is not None and (value <= target if metric in LOWER_IS_BETTER else value >= target)


def write_spread(metric: Metric, value: Spread) -> str:
    """Return a value with its spread over seeds: ``96.1 % ± 0.3``, ``0.4213 ± 0.012``."""
    if percentage(metric):
        spread = f"{SPACE}±{SPACE}{100 * value.deviation:.1f}" if value.deviation else ""
        return percent(value.mean) + spread
    spread = f"{SPACE}±{SPACE}{value.deviation:.2g}" if value.deviation else ""
    return f"{write_metric(metric, value.mean)}{spread}"


def write_named(metric: Metric, value: Spread) -> str:
    """Return a value with its spread and, unless it is an accuracy, the name of the metric."""
    written = write_spread(metric, value)
    return written if metric is Metric.ACCURACY else f"{_shown(metric)} {written}"


def write_target(metric: Metric, target: float) -> str:
    """Return a target: ``95 %``, ``0.421``."""
    return f"{100 * target:.4g} %" if percentage(metric) else f"{target:.4g}"


def write_goal(metric: Metric, target: float) -> str:
    """Return what is to be reached, as the beginning of a sentence."""
    if metric is Metric.ACCURACY:
        return f"An accuracy of {write_target(metric, target)}"
    limit = "at most" if metric in LOWER_IS_BETTER else "at least"
    return f"A value of {metric} of {limit} {write_target(metric, target)}"


_LEVEL: Final = 0.0005
"""Shares that differ by less, and other values that differ by less of the other one, are called level."""


def gap(metric: Metric, one: Spread, other: Spread) -> str:
    """Return how a value compares with another: ``7.9 points lower``, ``0.12 higher (worse)``."""
    difference = one.mean - other.mean
    share = percentage(metric)
    if abs(difference) < _LEVEL * (1 if share else abs(other.mean)) or not difference:
        return "level"
    amount = f"{100 * abs(difference):.1f} points" if share else f"{abs(difference):.2g}"
    higher = difference > 0
    judged = "" if metric not in LOWER_IS_BETTER else f" ({'worse' if higher else 'better'})"
    return f"{amount} {'higher' if higher else 'lower'}{judged}"


def axis_label(metric: Metric) -> str:
    """Return the metric's name in a figure."""
    return "accuracy" if metric is Metric.ACCURACY else _shown(metric)


def _shown(metric: Metric) -> str:
    return "evaluation loss" if metric is Metric.LOSS else metric.value
