"""The report of a run: one self-contained HTML page."""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from pslgs.reporting import figures
from pslgs.reporting.assessment import assess
from pslgs.reporting.formatting import duration, moment, percent
from pslgs.reporting.history import History
from pslgs.reporting.timeline import events
from pslgs.spec.errors import InputError
from pslgs.telemetry.journal import FILE_NAME, read
from pslgs.telemetry.records import ClientEvaluation, EvaluationRecord


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


@dataclass(frozen=True, slots=True)
class Manifest:
    """The manifest as the user wrote it; it may be invalid, and the report does not fail then."""

    text: str
    document: Mapping[str, object]

    @property
    def name(self) -> str:
        """Name of the job."""
        return self.value("metadata", "name") or "a run"

    def value(self, *path: str) -> str:
        """Return the field at a path as text; empty if there is none."""
        node: object = self.document
        for key in path:
            node = node.get(key) if isinstance(node, Mapping) else None
        return "" if node is None else str(node)


def read_manifest(path: Path) -> Manifest:
    """Read a manifest; if the file is missing or not valid YAML, it has no fields."""
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return Manifest("", {})
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError:
        document = None
    return Manifest(text, document if isinstance(document, Mapping) else {})


def headline(history: History) -> list[tuple[str, str]]:
    """Return the main figures of a run as pairs of name and value."""
    accuracies = [record.accuracy for record in history.evaluations if record.accuracy is not None]
    speed = history.samples_per_second()
    return [
        ("outcome", history.finish.outcome.lower().replace("_", " ") if history.finish else "not ended"),
        ("final accuracy", percent(accuracies[-1]) if accuracies else "–"),
        ("samples/s", f"{speed:,.0f}" if speed is not None else "–"),
        ("steps", f"{history.steps[-1].step:,}" if history.steps else "0"),
    ]


def settings(manifest: Manifest, history: History) -> list[tuple[str, str]]:
    """Return the settings of a run as pairs of name and value; unknown ones are left out."""
    return [(label, value) for label, value in _settings(manifest, history) if value]


def _settings(manifest: Manifest, history: History) -> Iterator[tuple[str, str]]:
    yield "model", manifest.value("spec", "model", "architecture")
    yield "cut layer", manifest.value("spec", "model", "cutLayer")
    yield "sampling strategy", manifest.value("spec", "sampling", "strategy")
    steps = history.steps
    largest = f"{max(step.batch_size for step in steps):,}" if steps else ""
    yield "global batch size", manifest.value("spec", "sampling", "globalBatchSize") or largest
    yield "epochs", f"{steps[-1].epoch:,} of {manifest.value('spec', 'epochs') or '?'}" if steps else ""
    yield "clients", f"{len(history.clients()):,}" if history.clients() else ""
    yield "started", moment(history.started) if history.started is not None else ""
    yield "duration", duration(history.seconds) if history.records else ""


MANIFEST = "job.yaml"
CLIENT_ROWS_LIMIT = 100
_logger = logging.getLogger(__name__)


def write_report(run: Path, output: Path) -> None:
    """Write the report of a run, finished or not.

    The file depends on the run only, byte for byte.

    Args:
        run: Output folder of the run.
        output: File to write.

    Raises:
        InputError: the folder has no journal.
        OSError: the report cannot be written.
    """
    output.write_text(render(read_manifest(run / MANIFEST), _history(run)), encoding="utf-8")


def summary(run: Path) -> list[tuple[str, str]]:
    """Return the main figures of a run as pairs of name and value.

    Raises:
        InputError: the folder has no journal.
    """
    return headline(_history(run))


def _history(run: Path) -> History:
    try:
        return History(tuple(read(run / FILE_NAME, _warn)))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError.at("", f"{run} has no {FILE_NAME}; name the output folder of a run") from error


def _warn(damage: str) -> None:
    _logger.warning("left out of the report: %s", damage)


def render(manifest: Manifest, history: History) -> str:
    """Return the report as HTML."""
    environment = Environment(
        loader=PackageLoader("pslgs.reporting"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters.update(duration=duration, percent=percent)
    evaluation = next((record for record in reversed(history.evaluations) if record.clients), None)
    return environment.get_template("report.html.j2").render(
        manifest=manifest,
        headline=headline(history),
        settings=settings(manifest, history),
        assessment=assess(history),
        charts=charts(history),
        started=history.started or 0.0,
        events=events(history),
        evaluation=evaluation,
        client_rows=_worst_clients(evaluation) if evaluation else [],
    )


def _worst_clients(evaluation: EvaluationRecord) -> list[tuple[str, ClientEvaluation]]:
    """Return the clients with the lowest accuracy (or highest loss), at most `CLIENT_ROWS_LIMIT`."""

    def quality(row: tuple[str, ClientEvaluation]) -> tuple[float, str]:
        client, result = row
        return (-result.loss if result.accuracy is None else result.accuracy), client

    return sorted(evaluation.clients.items(), key=quality)[:CLIENT_ROWS_LIMIT]
