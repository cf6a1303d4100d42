"""The three questions of a pilot, answered with a comparison's figures.

What does skew cost?  Does the allocation help?  What does it cost in traffic and time?
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pslgs.comparison.comparison import Comparison
from pslgs.comparison.price import price
from pslgs.comparison.rows import Row
from pslgs.comparison.wording import accuracy, gap
from pslgs.reporting.wording import count, percent
from pslgs.simulation.choices import SimulatedStrategy

_SKEWED = (
    SimulatedStrategy.FIXED_LOCAL,
    SimulatedStrategy.FIXED_PROPORTIONAL_LOCAL,
    SimulatedStrategy.SEQUENTIAL_SPLIT,
    SimulatedStrategy.FEDERATED_AVERAGING,
)
"""What is done without an allocation."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A question and what the figures say to it."""

    question: str
    text: str


def answers(comparison: Comparison) -> list[Answer]:
    """Answer the questions as far as the strategies that were compared allow it."""
    rows = {row.strategy: row for row in comparison.rows()}
    return [
        Answer("What does skew cost?", " ".join(_skew(comparison, rows))),
        Answer("Does the allocation help?", " ".join(_allocation(comparison, rows))),
        Answer("What does it cost in traffic and time?", " ".join(price(comparison, rows))),
    ]


Rows = dict[SimulatedStrategy, Row]


def _skew(comparison: Comparison, rows: Rows) -> Iterator[str]:
    skewed = [rows[each] for each in _SKEWED if each in rows]
    if not skewed:
        yield "No strategy without an allocation was simulated; FixedLocal would tell."
        return
    centralized = rows.get(SimulatedStrategy.CENTRALIZED)
    if centralized and centralized.accuracy:
        yield f"With all data in one place, the network ends at {accuracy(centralized.accuracy)}."
        gaps = [
            f"{row.strategy} ends {gap(row.accuracy, centralized.accuracy)}, at {accuracy(row.accuracy)}"
            for row in skewed
            if row.accuracy
        ]
        yield f"{'; '.join(gaps)}."
        yield from _recalibrated(skewed, centralized)
    yield from _ends_of_epochs(comparison, skewed)


def _recalibrated(skewed: Sequence[Row], centralized: Row) -> Iterator[str]:
    """Tell what of the cost is only that BatchNorm's statistics are those of the last batches."""
    parts = [
        f"{row.strategy} ends {gap(row.recalibrated, centralized.recalibrated)}, "
        f"at {accuracy(row.recalibrated)}"
        for row in skewed
        if row.recalibrated and centralized.recalibrated
    ]
    if parts:
        yield f"With BatchNorm statistics recalibrated over global batches, {'; '.join(parts)}."


def _ends_of_epochs(comparison: Comparison, skewed: Sequence[Row]) -> Iterator[str]:
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


def _allocation(comparison: Comparison, rows: Rows) -> Iterator[str]:
    row = rows.get(SimulatedStrategy.GLOBAL)
    if row is None:
        yield "Global was not simulated."
        return
    others = [rows[each] for each in (SimulatedStrategy.CENTRALIZED, *_SKEWED) if each in rows]
    if row.accuracy:
        gaps = [
            f", {gap(row.accuracy, other.accuracy)} than {other.strategy}".replace("level than", "level with")
            for other in others
            if other.accuracy
        ]
        yield f"Global ends at {accuracy(row.accuracy)}{''.join(gaps)}."
    yield from _deviation(comparison, row)
    if row.steps_per_epoch:
        steps = [
            f", with {other.strategy} {other.steps_per_epoch.mean:,.0f}"
            for other in others
            if other.steps_per_epoch and other.strategy is not SimulatedStrategy.FEDERATED_AVERAGING
        ]
        yield f"Its epoch takes {row.steps_per_epoch.mean:,.0f} steps{''.join(steps)}."


def _deviation(comparison: Comparison, row: Row) -> Iterator[str]:
    uniform = comparison.uniform()
    if row.deviation is None or not uniform.expected or uniform.bound is None:
        return
    outcomes = comparison.of(row.strategy)
    above = sum(int((each.steps.deviation > each.steps.deviation_bound).sum()) for each in outcomes)
    steps = count(sum(len(each.steps) for each in outcomes), "step")
    yield (
        f"Its batches deviate by {row.deviation.mean:.3f} on average, {uniform.expected:.3f} being expected, "
        f"and {above:,} of {steps} are above the 99 % bound of {uniform.bound:.2f}. That is "
        f"{uniform.bound / uniform.expected:.1f} times the expectation: the L1 form of Serfling's inequality "
        "is loose, and what is above it is no accident."
    )
