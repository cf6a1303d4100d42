"""The report of a run: one self-contained HTML page."""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from pslgs.atomic_file import replacing
from pslgs.data.left_out import in_words
from pslgs.reporting import evaluation_figures, figures
from pslgs.reporting.assessment import assess
from pslgs.reporting.evaluation_section import CLIENT_ROWS_LIMIT, best_evaluation, evaluation_section
from pslgs.reporting.formatting import duration, moment, percent
from pslgs.reporting.history import History
from pslgs.reporting.timeline import events
from pslgs.spec.errors import InputError
from pslgs.spec.manifest import parse_yaml
from pslgs.spec.metrics import Metric, metric_in_text, write_metric
from pslgs.telemetry.evaluation_details import EvaluationDetails
from pslgs.telemetry.journal import FILE_NAME, read


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
    """Draw the charts; long series are downsampled, with a band from their minimum to their maximum.

    Those without data are left out once the run has steps: a regression has neither accuracy nor deviation.
    """
    drawn = [Chart(title, caption, draw(history)) for title, caption, draw in _CHARTS]
    return [chart for chart in drawn if chart.svg is not None] if history.steps else drawn


_EVALUATION_CHARTS: tuple[tuple[str, str, Callable[[EvaluationDetails | None], str | None]], ...] = (
    (
        "Confusion matrix",
        "Samples of each class (rows) by the class that is predicted (columns). Blue cells are right; the"
        " darker a cell, the larger its share of the class.",
        evaluation_figures.confusion_figure,
    ),
    (
        "ROC curve",
        "Share of the samples of a class that are found (up), against the share of the other samples that are"
        " taken for it (across), over all thresholds. With the area below it (AUROC): 1 is perfect, 0.5 is"
        " chance.",
        evaluation_figures.roc_figure,
    ),
    (
        "Precision and recall",
        "Share of the predictions of a class that are right (up), against the share of its samples that are"
        " found (across), over all thresholds. With the average precision: 1 is perfect, the share of the"
        " class is chance.",
        evaluation_figures.precision_recall_figure,
    ),
)


def evaluation_charts(history: History) -> list[Chart]:
    """Draw the charts of the evaluations for which there are data."""
    details = history.evaluations[-1].details if history.evaluations else None
    drawn = [
        Chart(
            "Metrics",
            "Metrics of each evaluation over all evaluation samples.",
            evaluation_figures.metrics_figure(history),
        ),
        *(Chart(title, caption, draw(details)) for title, caption, draw in _EVALUATION_CHARTS),
    ]
    return [chart for chart in drawn if chart.svg is not None]


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
        document = parse_yaml(text, str(path))
    except InputError:
        document = None
    return Manifest(text, document if isinstance(document, Mapping) else {})


def headline(history: History) -> list[tuple[str, str]]:
    """Return the main figures of a run as pairs of name and value."""
    accuracies = [record.accuracy for record in history.evaluations if record.accuracy is not None]
    speed = history.samples_per_second()
    return [
        ("outcome", _outcome(history)),
        *([("final accuracy", percent(accuracies[-1]))] if accuracies else []),
        *_chosen_metric(history),
        ("samples/s", f"{speed:,.0f}" if speed is not None else "–"),
        ("steps", f"{history.steps[-1].step:,}" if history.steps else "0"),
    ]


def _outcome(history: History) -> str:
    if history.finish is None:
        return "not ended"
    return "stopped early" if history.finish.early else history.finish.outcome.lower().replace("_", " ")


def _chosen_metric(history: History) -> Iterator[tuple[str, str]]:
    """Yield the chosen metric of the last evaluation, and of the best one if that is another."""
    best = best_evaluation(history)
    if best is None:
        return
    last = history.evaluations[-1]
    name = metric_in_text(last.metric)
    if last.metric != Metric.ACCURACY:
        yield f"final {name}", write_metric(last.metric, last.value)
    if last.mean_of_clients is not None:
        yield "mean over clients", f"{name} {write_metric(last.metric, last.mean_of_clients)}"
    if best is not last:
        value = write_metric(best.metric, best.value)
        yield f"best {name}", f"{value}, epoch {best.epoch:,}"


def settings(manifest: Manifest, history: History) -> list[tuple[str, str]]:
    """Return the settings of a run as pairs of name and value; unknown ones are left out."""
    return [(label, value) for label, value in _settings(manifest, history) if value]


def _settings(manifest: Manifest, history: History) -> Iterator[tuple[str, str]]:
    yield "model", manifest.value("spec", "model", "architecture")
    yield "cut layer", manifest.value("spec", "model", "cutLayer")
    yield "initial weights", history.initial_weights.removeprefix("initial weights: ")
    yield "sampling strategy", manifest.value("spec", "sampling", "strategy")
    steps = history.steps
    largest = f"{max(step.batch_size for step in steps):,}" if steps else ""
    yield "global batch size", manifest.value("spec", "sampling", "globalBatchSize") or largest
    yield "epochs", f"{steps[-1].epoch:,} of {manifest.value('spec', 'epochs') or '?'}" if steps else ""
    yield "clients", f"{len(history.clients()):,}" if history.clients() else ""
    yield "started", moment(history.started) if history.started is not None else ""
    yield "duration", duration(history.seconds) if history.records else ""


MANIFEST = "job.yaml"
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


def write_report_of_ended_run(run: Path) -> str:
    """Write the report into the folder of a run that has just ended, whose result does not depend on it.

    Returns:
        Why it could not be written, and how to write it later; empty if it was.

    Raises:
        InputError: the folder has no journal.
    """
    file = run / "report.html"
    try:
        with replacing(file) as new:
            write_report(run, new)
    except OSError as error:
        return f"{file} could not be written ({error.strerror}); `pslgs report {run}` writes it later"
    return ""


def summary(run: Path) -> list[tuple[str, str]]:
    """Return the main figures of a run, and whether it was healthy, as pairs of name and value.

    Raises:
        InputError: the folder has no journal.
    """
    history = _history(run)
    return [*headline(history), ("health", str(assess(history)))]


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
    return environment.get_template("report.html.j2").render(
        manifest=manifest,
        headline=headline(history),
        settings=settings(manifest, history),
        assessment=assess(history),
        charts=[*charts(history), *evaluation_charts(history)],
        started=history.started or 0.0,
        events=events(history),
        evaluation=evaluation_section(history),
        left_out=_left_out_rows(history),
        left_out_clients=len(history.left_out()),
    )


def _left_out_rows(history: History) -> list[tuple[str, str]]:
    """Return the clients that left something out, and what, at most `CLIENT_ROWS_LIMIT`."""
    rows = [(client, in_words(counts)) for client, counts in history.left_out().items()]
    return rows[:CLIENT_ROWS_LIMIT]
