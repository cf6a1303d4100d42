"""The table of a comparison, for terminals and for the report."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pslgs.comparison.chosen_metric import Spread, write_spread, write_target
from pslgs.comparison.summary import Comparison, StrategySummary
from pslgs.comparison.text import answers
from pslgs.costs.folding_table import COLUMNS, broken, print_within
from pslgs.costs.quantities import bytes_of, seconds, whole_percent
from pslgs.reporting.formatting import SPACE
from pslgs.spec.metrics import Metric

UNKNOWN: Final = "–"


class Column(NamedTuple):
    """A column with one cell per strategy."""

    title: str
    cells: Sequence[str]


def columns(comparison: Comparison) -> list[Column]:
    """Return the columns of the table, without those in which nothing is known."""
    rows = comparison.rows()
    metric, target = comparison.metric, comparison.target

    def judged(title: str, values: Sequence[Spread | None], shown: Metric = metric) -> Column:
        return Column(title, [UNKNOWN if each is None else write_spread(shown, each) for each in values])

    laid = [
        Column("strategy", [row.strategy for row in rows]),
        judged("accuracy" if metric is Metric.ACCURACY else metric, [row.value for row in rows]),
        judged("recalibrated", [row.recalibrated for row in rows]),
        *(Column(title, [cell(row) for row in rows]) for title, cell in _COLUMNS),
    ]
    if metric is not Metric.ACCURACY:
        laid.insert(3, judged("accuracy", [row.accuracy for row in rows], Metric.ACCURACY))
    if target is not None:
        goal = write_target(metric, target)
        laid.append(Column(f"steps to {goal}", [_goal_steps(row) for row in rows]))
        laid.append(Column(f"time to {goal}", [_goal_time(row) for row in rows]))
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


def _goal_steps(row: StrategySummary) -> str:
    if row.goal is None:
        return UNKNOWN
    some = "" if row.goal.seeds == row.seeds else f" ({row.goal.seeds}/{row.seeds})"
    return f"{row.goal.steps:,.0f}{some}"


def _goal_time(row: StrategySummary) -> str:
    if row.goal is None or row.goal.modelled_seconds is None:
        return UNKNOWN
    return seconds(row.goal.modelled_seconds)


_whole, _tenths, _hundredths = _number(",.0f"), _mean("{:,.1f}".format), _number(".2f")

_COLUMNS: Final[tuple[tuple[str, Callable[[StrategySummary], str]], ...]] = (
    ("steps/epoch", lambda row: _whole(row.steps_per_epoch)),
    ("clients/step", lambda row: _tenths(row.active_clients)),
    ("deviation", lambda row: _hundredths(row.deviation)),
    ("at the end", lambda row: _hundredths(row.deviation_at_end)),
    ("small batches", lambda row: _mean(whole_percent)(row.small_batches)),
    ("bytes/epoch", lambda row: _mean(bytes_of)(row.bytes_per_epoch)),
    ("modelled step", lambda row: _mean(seconds)(row.step_seconds)),
    ("modelled time", lambda row: _mean(seconds)(row.modelled_seconds)),
)


_TITLE_WIDTH = len("computed here in")
_COLUMN_WIDTH = len("100.0 % ± 10.0 ")


def show(comparison: Comparison, console: Console) -> None:
    """Print a comparison; see `print_within`."""
    print_within(
        console, rendered(comparison, min(console.width, COLUMNS) if console.is_terminal else COLUMNS)
    )


def rendered(comparison: Comparison, width: int) -> RenderableType:
    """Return a comparison for a terminal: a row per figure and a column per strategy, then the answers.

    Strategies that do not fit into ``width`` are in a further table below.
    """
    laid = [*columns(comparison), Column("computed here in", _measured(comparison))]
    most = max(1, (width - _TITLE_WIDTH) // _COLUMN_WIDTH)
    tables = [
        _table([Column(title, cells[first : first + most]) for title, cells in laid])
        for first in range(0, len(comparison.strategies), most)
    ]
    findings = (Text(f"{each.question} {each.text}".replace(SPACE, " ")) for each in answers(comparison))
    return Group(*tables, *(Padding(text, (0, 0, 1, 2)) for text in findings))


def _table(laid: Sequence[Column]) -> Table:
    names, *figures = laid
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", width=_TITLE_WIDTH, no_wrap=True)
    for name in names.cells:
        table.add_column(broken(name), justify="right", overflow="fold")
    for figure in figures:
        table.add_row(figure.title, *figure.cells)
    return table


def _measured(comparison: Comparison) -> list[str]:
    """Return the mean computing time of each strategy, over the seeds in which it is known."""
    return [
        _mean_of([each.trial.name for each in comparison.of(strategy)], comparison.measured_seconds)
        for strategy in comparison.strategies
    ]


def _mean_of(cells: Sequence[str], measured: Mapping[str, float]) -> str:
    known = [measured[name] for name in cells if name in measured]
    return seconds(sum(known) / len(known)) if known else UNKNOWN
