"""The charts of a report in their order, each with what to look for in it."""

from collections.abc import Callable
from dataclasses import dataclass

from pslgs.reporting import figures
from pslgs.reporting.history import History


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure with its words.

    Attributes:
        caption: What to look for.
        svg: The figure; None where there is nothing to draw.
    """

    title: str
    caption: str
    svg: str | None


_CHARTS: tuple[tuple[str, str, Callable[[History], str | None]], ...] = (
    (
        "Batch deviation",
        "How far each global batch's class mix is from the pooled data's (L1 distance, 0 to 2)."
        " It should scatter around the expectation and stay below the bound;"
        " a drift upwards means that clients run dry or are missing.",
        figures.deviation_figure,
    ),
    ("Loss", "Mean loss of each global batch, and of the evaluations.", figures.loss_figure),
    ("Accuracy", "Of each evaluation, over all evaluation samples alike.", figures.accuracy_figure),
    (
        "Where a step's time goes",
        "Long waits with a short server part: clients or links are the bottleneck.",
        figures.time_figure,
    ),
    (
        "Samples by client",
        "What each client contributed; skipped samples are those of clients that did not come back in time.",
        figures.samples_figure,
    ),
    (
        "Active clients",
        "How many clients took part in each step. Global sampling keeps this steady to the end of an epoch.",
        figures.active_figure,
    ),
)


def charts(history: History) -> list[Chart]:
    """Draw all charts; a long series is condensed, a band then shows its lowest and highest values."""
    return [Chart(title, caption, draw(history)) for title, caption, draw in _CHARTS]
