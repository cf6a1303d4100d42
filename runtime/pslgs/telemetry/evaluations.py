"""Makes the record of an evaluation from its scores, in runs and simulations alike."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pslgs.telemetry.evaluation_details import evaluation_details
from pslgs.telemetry.records import ClientEvaluation, EvaluationRecord

if TYPE_CHECKING:
    from pslgs.training.evaluation import Score


def evaluation_record(  # noqa: PLR0913 - everything that is known of an evaluation
    *,
    time: float,
    epoch: int,
    step: int,
    total: "Score",
    clients: Mapping[str, "Score"],
    missing: tuple[str, ...] = (),
    recalibrated: "Score | None" = None,
    metric: str,
    class_names: Sequence[str] = (),
) -> EvaluationRecord:
    """Make the record of an evaluation.

    Args:
        time: Unix time in seconds.
        epoch: The epoch after which the model was evaluated.
        step: Number of steps before.
        total: Score over all samples.
        clients: Client -> its score, without the missing ones; empty if the server has the data.
        missing: Clients that were lost meanwhile.
        recalibrated: Score with re-estimated BatchNorm statistics; None, or of no samples, without.
        metric: Metric by which models are compared.
        class_names: Names of the classes, as far as they are known.
    """
    return EvaluationRecord(
        time,
        epoch,
        step,
        total.samples,
        total.loss,
        total.accuracy,
        {name: client_evaluation(score) for name, score in clients.items()},
        missing,
        client_evaluation(recalibrated) if recalibrated is not None and recalibrated.samples else None,
        metric,
        _plain(total),
        evaluation_details(total.tally, class_names),
    )


def client_evaluation(score: "Score") -> ClientEvaluation:
    """Return the results over the samples of a score."""
    return ClientEvaluation(score.samples, score.loss, score.accuracy, _plain(score))


def _plain(score: "Score") -> dict[str, float | None]:
    return {metric.value: value for metric, value in score.metrics().items()}
