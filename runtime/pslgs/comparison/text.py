"""Answers to three questions, in sentences made from the figures of a comparison.

What does skew cost?  Does global sampling help?  What does it cost in traffic and time?
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pslgs.comparison.chosen_metric import gap, write_goal, write_named, write_spread
from pslgs.comparison.summary import Comparison, StrategySummary
from pslgs.costs.quantities import bytes_of, seconds
from pslgs.reporting.formatting import count, percent
from pslgs.sampling.registry import STRATEGIES
from pslgs.spec.metrics import Metric
from pslgs.spec.training import Baseline, SamplingStrategy


def cost_text(comparison: Comparison, rows: Mapping[str, StrategySummary]) -> Iterator[str]:
    """Yield sentences on the traffic and time of `Global`."""
    row, centralized = rows.get(SamplingStrategy.GLOBAL), rows.get(Baseline.CENTRALIZED)
    if row is None or row.bytes_per_epoch is None:
        yield "Global was not simulated."
        return
    layer, moved = comparison.job.spec.model.cut_layer or "the cut", row.bytes_per_epoch.mean
    yield f"An epoch of Global moves {bytes_of(moved)} across {layer}, both ways together."
    if centralized and centralized.bytes_per_epoch:
        once = centralized.bytes_per_epoch.mean
        yield (
            f"That is {moved / once:.3g} times all samples ({bytes_of(once)}), which training in one place "
            "would move once."
        )
    yield from _time(row, centralized)
    if comparison.target is not None:
        reached = ", ".join(map(_reached, comparison.rows()))
        yield f"{write_goal(comparison.metric, comparison.target)} is reached {reached}."


def _time(row: StrategySummary, centralized: StrategySummary | None) -> Iterator[str]:
    if row.step_seconds is None or row.modelled_seconds is None:
        yield "No links were assumed, so no time is predicted; --profile lte would model one."
        return
    step, whole = seconds(row.step_seconds.mean), seconds(row.modelled_seconds.mean)
    yield f"Over the assumed links a step takes {step} and the training {whole}"
    if centralized and centralized.step_seconds and centralized.modelled_seconds:
        step, whole = seconds(centralized.step_seconds.mean), seconds(centralized.modelled_seconds.mean)
        yield f"(in one place, at the server's speed, {step} and {whole})."
    else:
        yield "in all."


def _reached(row: StrategySummary) -> str:
    if row.goal is None:
        return f"never by {row.strategy}"
    some = "" if row.goal.seeds == row.seeds else f" ({row.goal.seeds} of {count(row.seeds, 'seed')})"
    time = row.goal.modelled_seconds
    after = f"{row.goal.steps:,.0f} {STRATEGIES[row.strategy].unit}s" if time is None else seconds(time)
    return f"after {after} by {row.strategy}{some}"


@dataclass(frozen=True, slots=True)
class Answer:
    """A question and its answer in sentences."""

    question: str
    text: str


def answers(comparison: Comparison) -> list[Answer]:
    """Answer the questions of which the compared strategies tell something."""
    rows = {row.strategy: row for row in comparison.rows()}
    sentences = {
        "What does skew cost?": _skew(comparison, rows),
        "Does global sampling help?": _global_sampling(comparison, rows),
        "What does it cost in traffic and time?": cost_text(comparison, rows),
    }
    answered = [Answer(question, " ".join(said)) for question, said in sentences.items()]
    return [each for each in answered if each.text]


Rows = dict[str, StrategySummary]


def _skew(comparison: Comparison, rows: Rows) -> Iterator[str]:
    skewed = _without_global_sampling(rows)
    if not skewed:
        yield "No strategy without global sampling was simulated; simulate FixedLocal to compare with it."
        return
    centralized, metric = rows.get(Baseline.CENTRALIZED), comparison.metric
    if centralized is None:
        yield "Centralized was not simulated; simulate it to compare with all data in one place."
    elif centralized.value:
        yield f"With all data in one place, the network ends at {write_named(metric, centralized.value)}."
        gaps = [
            f"{row.strategy} ends {gap(metric, row.value, centralized.value)}, "
            f"at {write_spread(metric, row.value)}"
            for row in skewed
            if row.value
        ]
        if gaps:
            yield f"{'; '.join(gaps)}."
        yield from _recalibrated(metric, skewed, centralized)
    yield from _ends_of_epochs(comparison, skewed)


def _without_global_sampling(rows: Rows) -> list[StrategySummary]:
    """Return the summaries of strategies that neither allocate nor pool, in the registry's order."""
    return [
        rows[name]
        for name, strategy in STRATEGIES.items()
        if name in rows and not (strategy.allocates or strategy.pools_data)
    ]


def _recalibrated(
    metric: Metric, skewed: Sequence[StrategySummary], centralized: StrategySummary
) -> Iterator[str]:
    """Yield the gaps with recalibrated statistics: what is not due to the statistics of the last batches."""
    parts = [
        f"{row.strategy} ends {gap(metric, row.recalibrated, centralized.recalibrated)}, "
        f"at {write_spread(metric, row.recalibrated)}"
        for row in skewed
        if row.recalibrated and centralized.recalibrated
    ]
    if parts:
        yield f"With BatchNorm statistics recalibrated over global batches, {'; '.join(parts)}."


def _ends_of_epochs(comparison: Comparison, skewed: Sequence[StrategySummary]) -> Iterator[str]:
    expected = comparison.uniform().expected
    judged = [row for row in skewed if row.deviation_at_end and row.small_batches]
    if not judged or expected is None:
        return
    ends = ", ".join(
        f"{row.deviation_at_end.mean:.2f} ({row.strategy})" for row in judged if row.deviation_at_end
    )
    small = ", ".join(
        f"{percent(row.small_batches.mean)} ({row.strategy})" for row in judged if row.small_batches
    )
    yield (
        f"In the last fifth of an epoch's steps the batch deviation is {ends}, where a uniform batch of "
        f"{comparison.batch_size} is expected to have {expected:.2f}; of all steps, {small} have less than "
        "half of the global batch size."
    )


def _global_sampling(comparison: Comparison, rows: Rows) -> Iterator[str]:
    row = rows.get(SamplingStrategy.GLOBAL)
    if row is None:
        yield "Global was not simulated."
        return
    centralized = rows.get(Baseline.CENTRALIZED)
    others = [*([centralized] if centralized else []), *_without_global_sampling(rows)]
    if row.value:
        gaps = [
            f", {gap(comparison.metric, row.value, other.value)} than {other.strategy}".replace(
                "level than", "level with"
            )
            for other in others
            if other.value
        ]
        yield f"Global ends at {write_named(comparison.metric, row.value)}{''.join(gaps)}."
    yield from _deviation(comparison, row)
    if row.steps_per_epoch:
        steps = [
            f", with {other.strategy} {other.steps_per_epoch.mean:,.0f}"
            for other in others
            if other.steps_per_epoch
        ]
        yield f"Its epoch takes {row.steps_per_epoch.mean:,.0f} steps{''.join(steps)}."


def _deviation(comparison: Comparison, row: StrategySummary) -> Iterator[str]:
    uniform = comparison.uniform()
    if row.deviation is None or not uniform.expected or uniform.bound is None:
        return
    results = comparison.of(row.strategy)
    above = sum(int((each.steps.deviation > each.steps.deviation_bound).sum()) for each in results)
    steps = count(sum(len(each.steps) for each in results), "step")
    yield (
        f"Its batches deviate by {row.deviation.mean:.3f} on average, {uniform.expected:.3f} being expected, "
        f"and {above:,} of {steps} are above the 99 % bound of {uniform.bound:.2f}."
    )
