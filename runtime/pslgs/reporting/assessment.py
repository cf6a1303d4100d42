"""Assessment of a run: sentences about its result, and whether they are a reason for concern."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from pslgs.reporting.evaluation_section import best_evaluation
from pslgs.reporting.formatting import count, duration, percent
from pslgs.reporting.history import History
from pslgs.reporting.trivial_predictor import Comparison, comparisons, learned
from pslgs.spec.exit_codes import ExitCode
from pslgs.spec.metrics import Metric, write_metric

MAX_EXCESS = 1.25
"""Ratio of the mean deviation to its expected value above which it is a concern."""
MAX_RISE = 1.05
"""Ratio of the mean loss of the last tenth of the steps to that of the first above which it is a concern."""
_SCALE_LABELS = "The labels of a regression are not scaled: divide them so that most are between -1 and 1."
_TRAIN_OTHERWISE = "Change the learning rate, or train for more epochs."
MIN_STEPS = 50
"""Minimum number of steps for which the mean deviation is assessed."""


class Verdict(StrEnum):
    """Overall result of an assessment."""

    HEALTHY = "Healthy"
    CONCERNS = "Needs a look"
    NOTHING = "Nothing trained yet"


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence of an assessment, and whether it is a reason for concern."""

    text: str
    concern: bool = False


@dataclass(frozen=True, slots=True)
class Assessment:
    """Overall result and findings."""

    verdict: Verdict
    findings: tuple[Finding, ...]

    def __str__(self) -> str:
        """Return the result with its reasons for concern."""
        concerns = " ".join(finding.text for finding in self.findings if finding.concern)
        return f"{self.verdict}: {concerns}" if concerns else str(self.verdict)


def assess(history: History) -> Assessment:
    """Assess a run by its outcome, deviation, loss, metrics, lost clients and failed checkpoints."""
    aspects: tuple[Callable[[History], Iterator[Finding]], ...] = (
        _outcome,
        _deviation,
        _loss,
        _accuracy,
        _metric,
        _trivial,
        _skipped,
        _interruptions,
        _checkpoints,
    )
    findings = tuple(finding for aspect in aspects for finding in aspect(history))
    if any(finding.concern for finding in findings):
        return Assessment(Verdict.CONCERNS, findings)
    return Assessment(Verdict.HEALTHY if history.steps else Verdict.NOTHING, findings)


def _outcome(history: History) -> Iterator[Finding]:
    if not history.steps and history.finish is None:
        yield Finding("No step has been completed yet.")
        return
    reached = f"{count(len(history.steps), 'step')} in {duration(history.seconds)}"
    end = history.finish
    if end is None:
        yield Finding(f"The run has not ended, or was killed; it has completed {reached}.")
    elif end.outcome == "FINISHED":
        yield Finding(f"The run finished: {reached}.")
    elif end.outcome == "INTERRUPTED":
        yield Finding(f"The run was stopped after {reached} and can be resumed.")
    else:
        yield Finding(f"The run failed after {reached}: {end.message}.", concern=True)


def _deviation(history: History) -> Iterator[Finding]:
    bounded = [
        (step.deviation, step.deviation_bound)
        for step in history.steps
        if step.deviation is not None and step.deviation_bound is not None
    ]
    if not bounded:
        return
    within = sum(deviation <= bound for deviation, bound in bounded)
    yield Finding(
        f"The batch deviation was within its 99 % bound in {within:,} of {count(len(bounded), 'step')}"
        f" ({percent(math.floor(1000 * within / len(bounded)) / 1000)}).",
        concern=len(bounded) - within > tolerated_excesses(len(bounded)),
    )
    yield from _mean_deviation(history)


def tolerated_excesses(steps: int) -> float:
    """Return the number of steps that may exceed a 99 % bound before it is a concern.

    This is the mean of the binomial distribution for independent steps, plus three standard deviations.
    """
    return 0.01 * steps + 3 * math.sqrt(0.01 * 0.99 * steps)


def _mean_deviation(history: History) -> Iterator[Finding]:
    pairs = [
        (step.deviation, step.deviation_expected)
        for step in history.steps
        if step.deviation is not None and step.deviation_expected is not None
    ]
    if not pairs:
        return
    mean = sum(deviation for deviation, _ in pairs) / len(pairs)
    expected = sum(expectation for _, expectation in pairs) / len(pairs)
    yield Finding(
        f"Its mean is {mean:.3f}; the expected value for global sampling is {expected:.3f}.",
        concern=len(pairs) >= MIN_STEPS and mean > MAX_EXCESS * expected,
    )


def _loss(history: History) -> Iterator[Finding]:
    diverged = history.diverged_at()
    if diverged is not None:
        yield Finding(
            f"The training loss is not a number from step {diverged.step:,} on; lower the learning rate.",
            concern=True,
        )
    elif len(history.steps) >= 10:
        losses = [step.loss for step in history.steps]
        tenth = max(1, len(losses) // 10)
        yield _course_of_loss(history, sum(losses[:tenth]) / tenth, sum(losses[-tenth:]) / tenth)


def _course_of_loss(history: History, first: float, last: float) -> Finding:
    before, after = f"{first:.3g}", f"{last:.3g}"
    if last < first and before != after:
        return Finding(f"The training loss fell from {before} to {after}.")
    where = f"stayed at {after}" if before == after else f"went from {before} to {after}"
    text = f"The training loss did not fall; it {where}."
    if last - first > (MAX_RISE - 1) * abs(first):
        return Finding(f"{text} Lower the learning rate.", concern=True)
    if _judged(history) or not _is_finished(history):
        return Finding(text)  # without a concern: `_trivial` judges the model
    return Finding(f"{text} {_TRAIN_OTHERWISE} {_SCALE_LABELS}", concern=True)


def _accuracy(history: History) -> Iterator[Finding]:
    scores = [(record.accuracy, record.step) for record in history.evaluations if record.accuracy is not None]
    if scores:
        best, step = max(scores, key=lambda score: score[0])
        text = f"The last evaluation's accuracy is {percent(scores[-1][0])}"
        yield Finding(
            f"{text}, the best was {percent(best)} at step {step:,}." if best > scores[-1][0] else f"{text}."
        )


def _metric(history: History) -> Iterator[Finding]:
    """Yield the chosen metric, unless it is the accuracy, which is shown in any case."""
    best = best_evaluation(history)
    if best is None or best.metric == Metric.ACCURACY:
        return
    metric, last = best.metric, history.evaluations[-1]
    name = "loss" if metric == Metric.LOSS else metric
    text = f"The last evaluation's {name} is {write_metric(metric, last.value)}"
    with_best = f"{text}, the best was {write_metric(metric, best.value)} at step {best.step:,}."
    yield Finding(f"{text}." if best.step == last.step else with_best)


def _trivial(history: History) -> Iterator[Finding]:
    """Yield that the last evaluation is no better than a predictor that has learned nothing."""
    judged = _judged(history)
    if not judged or learned(judged):
        return
    is_regression = any(each.metric is Metric.R2 for each in judged)
    trivial = "the mean of the labels" if is_regression else "the same class"
    scores = ", ".join(map(str, judged))
    if not _is_finished(history):
        yield Finding(f"The model is not yet better than always predicting {trivial} ({scores}).")
        return
    advice = (_SCALE_LABELS, _TRAIN_OTHERWISE) if is_regression else (_TRAIN_OTHERWISE,)
    text = f"The model is no better than always predicting {trivial} ({scores})."
    yield Finding(" ".join((text, *advice)), concern=True)


def _judged(history: History) -> list[Comparison]:
    return comparisons(history.evaluations[-1]) if history.evaluations else []


def _is_finished(history: History) -> bool:
    return history.finish is not None and history.finish.outcome == ExitCode.FINISHED.name


def _skipped(history: History) -> Iterator[Finding]:
    skipped, used = history.skipped_samples().total(), history.used_samples().total()
    if skipped:
        share = percent(skipped / (skipped + used))
        yield Finding(
            f"Epochs ended without {count(skipped, 'sample')} ({share}) of lost clients or skipped steps.",
            concern=True,
        )


def _interruptions(history: History) -> Iterator[Finding]:
    lost, aborted = len(history.losses), len(history.aborts)
    if lost or aborted:
        yield Finding(f"Lost clients: {lost:,}; aborted attempts at a step: {aborted:,}.")


def _checkpoints(history: History) -> Iterator[Finding]:
    failed = len(history.failed_checkpoints)
    if failed:
        yield Finding(f"{count(failed, 'checkpoint')} could not be written.", concern=True)
