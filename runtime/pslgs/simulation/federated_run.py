"""Federated averaging as a simulation: a round is recorded as a step."""

import time
from collections.abc import Mapping

import torch

from pslgs.observability.records import EvaluationRecord, FinishRecord, StepRecord
from pslgs.simulation.accounts import Write, evaluation_record
from pslgs.simulation.cast import Cast
from pslgs.simulation.federated import FederatedTraining, Round
from pslgs.simulation.federated_time import round_seconds
from pslgs.simulation.outcomes import EvaluationOutcome
from pslgs.simulation.recalibration import Recalibration
from pslgs.simulation.virtual_time import Fleet
from pslgs.spec.exit_codes import ExitCode
from pslgs.spec.job import JobSpec
from pslgs.training.evaluation import Score


def run_federated(
    spec: JobSpec, cast: Cast, fleet: Fleet, write: Write, recalibration_batches: int = 0
) -> None:
    """Train as many rounds as the job has epochs, and write a record of each, evaluations and the end.

    A round's batch is all data, so it has no deviation worth telling.  Nobody is lost.

    Raises:
        InputError: the network cannot train on the only sample of a client.
    """
    datasets = {name: client.training for name, client in cast.clients.items()}
    batch_size = spec.sampling.global_batch_size
    training = FederatedTraining(cast.task, datasets, batch_size)
    recalibration = Recalibration(cast.task, datasets, batch_size, recalibration_batches)
    modelled = round_seconds(fleet, cast.dataset_sizes, cast.task)
    before = time.perf_counter()
    for done in training.rounds():
        write(_step_record(done, cast, time.perf_counter() - before, modelled))
        due = done.number % spec.evaluate_every_epochs == 0 or done.number == spec.epochs
        if due and spec.data.evaluation is not None:
            write(_evaluate(training, cast, recalibration, done.number))
        before = time.perf_counter()
    message = f"trained {spec.epochs} rounds of federated averaging"
    write(FinishRecord(time.time(), spec.epochs, ExitCode.FINISHED.name, message))


def _step_record(done: Round, cast: Cast, seconds: float, modelled_seconds: float | None) -> StepRecord:
    sizes = {name: (0, samples) for name, samples in cast.dataset_sizes.items() if samples}
    return StepRecord(
        time=time.time(),
        epoch=done.number,
        step=done.number,
        attempt=1,
        loss=done.loss,
        batch_size=sum(samples for _, samples in sizes.values()),
        deviation=None,
        deviation_expected=None,
        deviation_bound=None,
        learning_rate=done.learning_rate,
        allocation=sizes,
        seconds={"round": seconds},
        modelled_seconds=modelled_seconds,
    )


@torch.no_grad()
def _evaluate(
    training: FederatedTraining, cast: Cast, recalibration: Recalibration, number: int
) -> EvaluationRecord:
    scores = _scores(training, cast)
    statistics = recalibration.statistics(number)
    again = recalibration.score(statistics, lambda: _total(_scores(training, cast)))
    outcome = EvaluationOutcome(
        _total(scores), again, {name: score for name, score in scores.items() if name}
    )
    return evaluation_record(time.time(), number, number, outcome)


def _scores(training: FederatedTraining, cast: Cast) -> dict[str, Score]:
    """Score the clients' evaluation data, client -> score, or the server's under an empty name."""
    if cast.evaluation:
        return {"": training.evaluate(cast.evaluation)}
    held = {name: client.evaluation for name, client in cast.clients.items() if client.evaluation}
    return {name: training.evaluate(data) for name, data in held.items()}


def _total(scores: Mapping[str, Score]) -> Score:
    return sum(scores.values(), Score())
