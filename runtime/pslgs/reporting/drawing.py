"""Drawing of figures as SVG elements, whose colours and fonts are set by the page's style sheet."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

# Placeholders that `svg` replaces by variables of the page's style sheet, for light and dark mode.
COLOURS = {
    "ink": "#010203",
    "faint": "#010204",
    "one": "#010205",
    "two": "#010206",
    "three": "#010207",
    "four": "#010208",
    "alarm": "#010209",
    "five": "#01020a",
    "six": "#01020b",
}
SIZE_INCHES = (5.0, 2.9)


@contextmanager
def drawing(height: float = SIZE_INCHES[1]) -> Iterator[tuple[Figure, Axes]]:
    """Provide a figure in the style of the report; ``height`` is in inches."""
    with mpl.rc_context():
        mpl.rcdefaults()
        _set_style()
        figure = Figure(figsize=(SIZE_INCHES[0], height), layout="constrained")
        yield figure, figure.add_subplot()


def over_steps(axes: Axes) -> None:
    """Label the horizontal axis with steps."""
    axes.set_xlabel("step")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    whole_numbers(axes.xaxis)
    axes.margins(x=0.01)


def whole_numbers(axis: Axis) -> None:
    """Format the numbers of an axis without decimals and with thousands separators."""
    axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def legend(axes: Axes, columns: int) -> None:
    """Put the legend above the axes."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns, borderaxespad=0.2)


def svg(figure: Figure, name: str) -> str:
    """Return a figure as an SVG element; ``name`` prefixes its ids, which must be unique in a page."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)
    text = re.sub(r' (width|height)="[^"]*pt"', "", text, count=2)
    for colour, placeholder in COLOURS.items():
        text = text.replace(placeholder, f"var(--{colour})")
    return text


def _set_style() -> None:
    mpl.rc("svg", fonttype="none", hashsalt="pslgs")
    mpl.rc("font", size=10)
    mpl.rc("text", color=COLOURS["ink"], parse_math=False)
    mpl.rc("axes", labelcolor=COLOURS["ink"], edgecolor=COLOURS["faint"], grid=True, axisbelow=True)
    mpl.rc("axes.spines", top=False, right=False)
    mpl.rc("xtick", color=COLOURS["ink"])
    mpl.rc("ytick", color=COLOURS["ink"])
    mpl.rc("grid", color=COLOURS["faint"], linewidth=0.5)
    mpl.rc("legend", frameon=False, fontsize=9)
