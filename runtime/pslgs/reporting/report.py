"""Writing of the report of a run as a self-contained HTML file."""

import logging
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from pslgs.observability.journal import FILE_NAME, read
from pslgs.observability.records import ClientEvaluation, EvaluationRecord
from pslgs.reporting.assessment import assess
from pslgs.reporting.charts import charts
from pslgs.reporting.events import events
from pslgs.reporting.facts import Manifest, headline, read_manifest, settings
from pslgs.reporting.history import History
from pslgs.reporting.wording import duration, percent
from pslgs.spec.errors import InputError

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
