"""What a report says of the evaluations: metrics of the last and the best one, by class and by client."""

from collections.abc import Sequence
from dataclasses import dataclass

from pslgs.reporting.history import History
from pslgs.spec.metrics import LOWER_IS_BETTER, is_better, write_metric
from pslgs.telemetry.evaluation_details import ClassEvaluation
from pslgs.telemetry.records import ClientEvaluation, EvaluationRecord

CLIENT_ROWS_LIMIT = 100


@dataclass(frozen=True, slots=True)
class MetricRow:
    """A metric in the last evaluation and in the best one, as text."""

    name: str
    last: str
    best: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class EvaluationSection:
    """The evaluations of a run.

    Attributes:
        last: The last evaluation.
        best: The best one by the chosen metric; None if no evaluation has a value of it.
        metrics: Metrics of both.
        classes: Results of the last one by class; empty without classes.
        clients: Its results at the clients, the worst first, at most `CLIENT_ROWS_LIMIT`; with the value of
            the chosen metric as text.
    """

    last: EvaluationRecord
    best: EvaluationRecord | None
    metrics: Sequence[MetricRow]
    classes: Sequence[ClassEvaluation]
    clients: Sequence[tuple[str, ClientEvaluation, str]]


def evaluation_section(history: History) -> EvaluationSection | None:
    """Return what there is to say of the evaluations; None without any."""
    if not history.evaluations:
        return None
    last, best = history.evaluations[-1], best_evaluation(history)
    rows = [
        MetricRow(
            name,
            write_metric(name, value),
            write_metric(name, best.metrics.get(name)) if best else "–",
            name == last.metric,
        )
        for name, value in last.metrics.items()
    ]
    return EvaluationSection(last, best, rows, last.details.classes if last.details else (), _clients(last))


def best_evaluation(history: History) -> EvaluationRecord | None:
    """Return the first of the best evaluations by the metric that the last one was compared by."""
    metric = history.evaluations[-1].metric if history.evaluations else ""
    best: EvaluationRecord | None = None
    for record in history.evaluations:
        value, before = record.value, best.value if best else None
        if record.metric != metric or value is None:
            continue
        if before is None or is_better(metric, value, before):
            best = record
    return best


def _clients(record: EvaluationRecord) -> list[tuple[str, ClientEvaluation, str]]:
    metric = record.metric

    def quality(row: tuple[str, ClientEvaluation]) -> tuple[float, str]:
        client, result = row
        value = result.metrics.get(metric)
        if value is None:
            value = -result.loss if result.accuracy is None else result.accuracy
        elif metric in LOWER_IS_BETTER:
            value = -value
        return value, client

    worst = sorted(record.clients.items(), key=quality)[:CLIENT_ROWS_LIMIT]
    return [(name, result, write_metric(metric, result.metrics.get(metric))) for name, result in worst]
