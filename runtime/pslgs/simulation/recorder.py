"""Writes the records of a simulation, with the same content as those of a run."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pslgs.coordination import messages
from pslgs.coordination.numeric_faults import NumericFault
from pslgs.sampling.deviation import batch_quality
from pslgs.simulation.outcomes import EvaluationOutcome, Executor, StepOutcome
from pslgs.telemetry.evaluations import evaluation_record
from pslgs.telemetry.records import (
    AbortRecord,
    ClientRecord,
    FinishRecord,
    Record,
    SkippedRecord,
    StepRecord,
    step_record,
)

Write = Callable[[Record], None]

_PHASES = {
    messages.RunServerStep: "forward_wait",
    messages.SendCutGradients: "server",
    messages.ApplyUpdate: "backward_wait",
}
"""Effect -> the phase of a step that ends when the effect is carried out."""


class SimulationRecorder:
    """Passes effects to an executor and writes records of their results.

    The first join of a client is not recorded, because there may be thousands.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what records are made of
        self,
        executor: Executor,
        pooled: NDArray[np.int64] | None,
        write: Write,
        wall_time: Callable[[], float],
        clock: Callable[[], float],
        virtual_time: Callable[[], float] | None,
        metric: str,
        class_names: Sequence[str] = (),
    ) -> None:
        """Create a recorder for one job.

        Args:
            executor: Carries out the effects.
            pooled: Samples of each class at all clients; shape (classes,).  None without classes.
            write: Called with each record.
            wall_time: Returns the Unix time in seconds, for the records.
            clock: Returns seconds of a monotonic clock, to measure computing.
            virtual_time: Returns modelled seconds since the start; None without a time model.
            metric: Metric by which models are compared.
            class_names: Names of the classes; empty if they are unknown.
        """
        self._executor = executor
        self._pooled = pooled
        self._write = write
        self._wall_time = wall_time
        self._clock = clock
        self._virtual_time = virtual_time
        self._metric = metric
        self._class_names = class_names
        self._since = clock()
        self._seconds: dict[str, float] = {}
        self._committed_at = 0.0
        self._step = 0

    def perform(self, effect: messages.Effect) -> NumericFault | float | None:
        """Carry out an effect and record its result.

        Returns:
            The fault if it could not be carried out, or the value of the chosen metric in an evaluation.
        """
        match effect:
            case messages.OrderForward() if not self._seconds:
                self._begin_step()
            case messages.RunServerStep() | messages.SendCutGradients() | messages.ApplyUpdate():
                self._lap(_PHASES[type(effect)])
        outcome = self._executor.perform(effect)
        match effect, outcome:
            case messages.ApplyUpdate(), StepOutcome():
                self._lap("update")
                self._write(self._step_record(effect, outcome))
                self._step, self._seconds = effect.exchange.step, {}
            case messages.EvaluateAtServer() | messages.ConcludeEvaluation(), EvaluationOutcome():
                return self._write_evaluation(effect, outcome)
            case _, NumericFault():
                return outcome
            case _:
                self._report(effect)
        return None

    def _write_evaluation(
        self, effect: messages.EvaluateAtServer | messages.ConcludeEvaluation, outcome: EvaluationOutcome
    ) -> float | None:
        missing = effect.missing if isinstance(effect, messages.ConcludeEvaluation) else ()
        record = evaluation_record(
            time=self._wall_time(),
            epoch=effect.epoch,
            step=effect.exchange.step,
            total=outcome.total,
            clients={name: score for name, score in outcome.clients.items() if name not in missing},
            missing=missing,
            recalibrated=outcome.recalibrated,
            metric=self._metric,
            class_names=self._class_names,
        )
        self._write(record)
        return record.value

    def _begin_step(self) -> None:
        """Start timing at the first order of a step; evaluations between steps are not part of it."""
        self._since = self._clock()
        self._seconds = {"forward_wait": 0.0}

    def _lap(self, phase: str) -> None:
        now = self._clock()
        self._seconds[phase] = self._seconds.get(phase, 0.0) + now - self._since
        self._since = now

    def _step_record(self, effect: messages.ApplyUpdate, outcome: StepOutcome) -> StepRecord:
        return step_record(
            effect,
            time=self._wall_time(),
            loss=outcome.loss,
            learning_rate=outcome.learning_rate,
            quality=batch_quality(outcome.classes, self._pooled),
            seconds=self._seconds,
            modelled_seconds=self._modelled(),
        )

    def _modelled(self) -> float | None:
        """Return the virtual seconds since the previous step, abandoned attempts included."""
        if self._virtual_time is None:
            return None
        before, self._committed_at = self._committed_at, self._virtual_time()
        return self._committed_at - before

    def _report(self, effect: messages.Effect) -> None:
        now = self._wall_time()
        match effect:
            case messages.ReportJoined(client, samples, returned=True):
                self._write(ClientRecord(now, self._step, client, "joined", "it returned", samples))
            case messages.ReportLost(client, kind, reason):
                self._write(ClientRecord(now, self._step, client, "lost", reason, cause=kind))
            case messages.AbandonAttempt(exchange, epoch, _, kind, reason):
                self._write(AbortRecord(now, epoch, exchange.step, exchange.attempt, reason, kind))
            case messages.ReportSkipped(epoch, samples_by_client):
                self._write(SkippedRecord(now, epoch, samples_by_client))
            case messages.Finish(exit_code, message, early):
                self._write(FinishRecord(now, self._step, exit_code.name, message, early))
