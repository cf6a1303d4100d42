"""The charts of a report, in their order and with their captions."""

from collections.abc import Callable
from dataclasses import dataclass

from pslgs.reporting import figures
from pslgs.reporting.history import History


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure with title and caption.

    Attributes:
        title: Title of the chart.
        caption: What the chart shows, and how to read it.
        svg: The figure as an SVG element; None if there are no data for it.
    """

    title: str
    caption: str
    svg: str | None


_CHARTS: tuple[tuple[str, str, Callable[[History], str | None]], ...] = (
    (
        "Batch deviation",
        "L1 distance (0 to 2) between the class proportions of each global batch and of the pooled data."
        " It should scatter around the expected value and stay below the bound;"
        " a rise within an epoch means that clients have no samples left or are missing.",
        figures.deviation_figure,
    ),
    ("Loss", "Mean loss of each global batch, and of the evaluations.", figures.loss_figure),
    ("Accuracy", "Accuracy of each evaluation over all evaluation samples.", figures.accuracy_figure),
    (
        "Where a step's time goes",
        "Time of each phase of a step. If the waits are long and the server part is short, clients or links"
        " are the bottleneck.",
        figures.time_figure,
    ),
    (
        "Samples by client",
        "Samples that each client contributed. Skipped samples belong to clients that were lost and did not"
        " return before the end of the epoch.",
        figures.samples_figure,
    ),
    (
        "Active clients",
        "Number of clients that contributed to each step. With global sampling it stays nearly constant up to"
        " the end of an epoch.",
        figures.active_figure,
    ),
)


def charts(history: History) -> list[Chart]:
    """Draw all charts; long series are downsampled, with a band from their minimum to their maximum."""
    return [Chart(title, caption, draw(history)) for title, caption, draw in _CHARTS]
