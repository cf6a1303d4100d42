"""What an allocation costs: traffic and time, beside training in one place."""

from collections.abc import Iterator, Mapping

from pslgs.comparison.comparison import Comparison
from pslgs.comparison.rows import Row
from pslgs.planning.words import bytes_of, percent, seconds
from pslgs.reporting.wording import count
from pslgs.simulation.choices import SimulatedStrategy


def price(comparison: Comparison, rows: Mapping[SimulatedStrategy, Row]) -> Iterator[str]:
    """Tell what `Global` costs, in sentences."""
    row, centralized = rows.get(SimulatedStrategy.GLOBAL), rows.get(SimulatedStrategy.CENTRALIZED)
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
    if comparison.target_accuracy is not None:
        reached = ", ".join(map(_reached, comparison.rows()))
        yield f"An accuracy of {percent(comparison.target_accuracy)} is reached {reached}."


def _time(row: Row, centralized: Row | None) -> Iterator[str]:
    if row.step_seconds is None or row.modelled_seconds is None:
        yield "No links were assumed, so there is no time to tell; --profile lte would model one."
        return
    step, whole = seconds(row.step_seconds.mean), seconds(row.modelled_seconds.mean)
    yield f"Over the assumed links a step takes {step} and the training {whole}"
    if centralized and centralized.step_seconds and centralized.modelled_seconds:
        step, whole = seconds(centralized.step_seconds.mean), seconds(centralized.modelled_seconds.mean)
        yield f"(in one place, at the server's speed, {step} and {whole})."
    else:
        yield "in all."


def _reached(row: Row) -> str:
    if row.goal is None:
        return f"never by {row.strategy}"
    some = "" if row.goal.seeds == row.seeds else f" ({row.goal.seeds} of {count(row.seeds, 'seed')})"
    time = row.goal.modelled_seconds
    after = f"{row.goal.steps:,.0f} steps" if time is None else seconds(time)
    return f"after {after} by {row.strategy}{some}"
