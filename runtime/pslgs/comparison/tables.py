"""The rows of a comparison as a table for people, the same on a terminal and on a page."""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from pslgs.comparison.comparison import Comparison
from pslgs.comparison.rows import Row, Spread
from pslgs.comparison.wording import accuracy
from pslgs.planning.words import bytes_of, percent, seconds
from pslgs.reporting.wording import SPACE

UNKNOWN: Final = "–"


class Column(NamedTuple):
    """A column; a cell for each strategy."""

    title: str
    cells: Sequence[str]


def columns(comparison: Comparison) -> list[Column]:
    """Lay the rows out; a column in which nothing is known is left out."""
    rows = comparison.rows()
    target = comparison.target_accuracy
    laid = [Column(title, [cell(row) for row in rows]) for title, cell in _COLUMNS]
    if target is not None:
        laid.append(Column(f"steps to {percent(target)}", [_goal_steps(row) for row in rows]))
        laid.append(Column(f"time to {percent(target)}", [_goal_time(row) for row in rows]))
    return [column for column in laid if any(cell != UNKNOWN for cell in column.cells)]


def _number(form: str) -> Callable[[Spread | None], str]:
    def written(value: Spread | None) -> str:
        if value is None:
            return UNKNOWN
        mean, deviation = (format(figure, form) for figure in value)
        return f"{mean}{SPACE}±{SPACE}{deviation}" if float(deviation.replace(",", "")) else mean

    return written


def _mean(write: Callable[[float], str]) -> Callable[[Spread | None], str]:
    return lambda value: UNKNOWN if value is None else write(value.mean)


def _goal_steps(row: Row) -> str:
    if row.goal is None:
        return UNKNOWN
    some = "" if row.goal.seeds == row.seeds else f" ({row.goal.seeds}/{row.seeds})"
    return f"{row.goal.steps:,.0f}{some}"


def _goal_time(row: Row) -> str:
    if row.goal is None or row.goal.modelled_seconds is None:
        return UNKNOWN
    return seconds(row.goal.modelled_seconds)


_whole, _tenths, _hundredths = _number(",.0f"), _mean("{:,.1f}".format), _number(".2f")

_COLUMNS: Final[tuple[tuple[str, Callable[[Row], str]], ...]] = (
    ("strategy", lambda row: row.strategy.value),
    ("accuracy", lambda row: accuracy(row.accuracy) if row.accuracy else UNKNOWN),
    ("recalibrated", lambda row: accuracy(row.recalibrated) if row.recalibrated else UNKNOWN),
    ("steps/epoch", lambda row: _whole(row.steps_per_epoch)),
    ("clients/step", lambda row: _tenths(row.active_clients)),
    ("deviation", lambda row: _hundredths(row.deviation)),
    ("at the end", lambda row: _hundredths(row.deviation_at_end)),
    ("small batches", lambda row: _mean(percent)(row.small_batches)),
    ("bytes/epoch", lambda row: _mean(bytes_of)(row.bytes_per_epoch)),
    ("modelled step", lambda row: _mean(seconds)(row.step_seconds)),
    ("modelled time", lambda row: _mean(seconds)(row.modelled_seconds)),
)
