"""Journals such as real runs write: global sampling over skewed clients, with what befalls a run."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pslgs.telemetry.records import (
    AbortRecord,
    CheckpointRecord,
    ClientEvaluation,
    ClientRecord,
    EvaluationRecord,
    FinishRecord,
    Record,
    SkippedRecord,
    StepRecord,
)

START = 1_760_000_000.0
CLASSES = 10
BATCH = 128


@dataclass(frozen=True)
class Plan:
    """What a run is like.

    Attributes:
        samples: Training samples of all clients together.
        troubles: Whether a client is lost in the second epoch and a checkpoint fails.
        finished: Whether the run came to its end.
        drift: Added to the deviation of the last fifth of each epoch.
    """

    epochs: int = 4
    clients: int = 16
    samples: int = 20_000
    troubles: bool = True
    finished: bool = True
    drift: float = 0.0


def run(**plan: float) -> list[Record]:
    """Return the journal of a run, described by the fields of a `Plan`."""
    return list(_Run(Plan(**plan)).records())


class _Run:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.rng = np.random.default_rng(0)
        self.steps_per_epoch = -(-plan.samples // BATCH)
        shares = self.rng.dirichlet(np.full(plan.clients, 1.0))
        self.names = [f"edge-{number:03}-0" for number in range(plan.clients)]
        self.held = np.maximum(1, (shares * plan.samples).astype(int))
        self.time = START
        self.step = 0

    def records(self) -> Iterator[Record]:
        for name, held in zip(self.names, self.held, strict=True):
            yield ClientRecord(self.time, 0, name, "joined", "", int(held))
            self.time += 0.05
        for epoch in range(1, self.plan.epochs + 1):
            yield from self.epoch(epoch)
        if self.plan.finished:
            yield FinishRecord(self.time + 1, self.step, "FINISHED", "the training is complete")

    def epoch(self, epoch: int) -> Iterator[Record]:
        pool = self.rng.permutation(np.repeat(np.arange(len(self.held)), self.held))
        offsets = np.zeros(len(self.held), int)
        for number, chunk in enumerate(np.array_split(pool, self.steps_per_epoch)):
            if self.plan.troubles and epoch == 2 and number == 20:
                yield from self.lose(self.names[2])
            self.step += 1
            counts = np.bincount(chunk, minlength=len(self.held))
            yield self.committed(epoch, number, counts, offsets)
            offsets += counts
            if self.step % 50 == 0:
                full = self.plan.troubles and self.step == 150
                yield CheckpointRecord(
                    self.time, self.step, 0.12, "No space left on device" if full else None
                )
        if self.plan.troubles and epoch == 2:
            yield SkippedRecord(self.time, epoch, {self.names[2]: 214})
            yield ClientRecord(self.time, self.step, self.names[2], "joined", "", int(self.held[2]))
        yield self.evaluated(epoch)

    def lose(self, client: str) -> Iterator[Record]:
        self.time += 30
        yield ClientRecord(self.time, self.step, client, "lost", "no answer within 30 s", cause="timeout")
        reason = f"client {client} was lost: no answer within 30 s"
        yield AbortRecord(self.time, 2, self.step + 1, 1, reason, cause="timeout")

    def committed(self, epoch, number, counts, offsets) -> StepRecord:
        wait, server, back, update = self.rng.gamma(20, np.array([0.12, 0.09, 0.07, 0.008]) / 20)
        self.time += wait + server + back + update
        classes = self.rng.multinomial(BATCH, np.full(CLASSES, 1 / CLASSES))
        late = number > 0.8 * self.steps_per_epoch
        active = np.flatnonzero(counts)
        return StepRecord(
            time=self.time,
            epoch=epoch,
            step=self.step,
            attempt=1,
            loss=float(0.4 + 1.9 * np.exp(-self.step / 200) + self.rng.normal(0, 0.08)),
            batch_size=int(counts.sum()),
            deviation=float(np.abs(classes / BATCH - 1 / CLASSES).sum() + (self.plan.drift if late else 0)),
            deviation_expected=0.2112,
            deviation_bound=0.4279,
            learning_rate=0.01,
            allocation={self.names[k]: (int(offsets[k]), int(counts[k])) for k in active},
            seconds={"forward_wait": wait, "server": server, "backward_wait": back, "update": update},
            response_seconds={self.names[k]: (wait, back) for k in active},
        )

    def evaluated(self, epoch: int) -> EvaluationRecord:
        self.time += 2
        accuracy = 0.9 - 0.5 * np.exp(-epoch / 2)
        own = {
            name: ClientEvaluation(
                100, 1.2 - accuracy, float(np.clip(accuracy + self.rng.normal(0, 0.05), 0, 1))
            )
            for name in self.names
        }
        missing = (self.names[2],) if self.plan.troubles and epoch == 2 else ()
        return EvaluationRecord(
            self.time,
            epoch,
            self.step,
            1600,
            float(1.3 - accuracy),
            float(accuracy),
            {name: figures for name, figures in own.items() if name not in missing},
            missing,
        )
