"""What a simulation gives: figures of every step as arrays, evaluations, the model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pslgs.costs.traffic import StepTraffic
from pslgs.spec.exit_codes import ExitCode
from pslgs.telemetry.records import EvaluationRecord, FinishRecord, Record, StepRecord

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """The committed steps, an entry each; shape (steps,).  What is not known is NaN.

    Attributes:
        epoch: Counted from 1.
        attempt: The attempt that succeeded, counted from 1.
        batch_size: Samples of all clients together.
        active_clients: Clients that contributed some.
        largest_local_batch: Samples of the client that contributed most.
        loss: Mean over the batch; NaN where nothing is trained.
        deviation: L1 distance of the batch's class mix from the pooled one, 0 … 2.
        deviation_expected: Of a uniform batch of that size.
        deviation_bound: That a uniform batch exceeds with probability at most 1 % (Serfling, L1 form).
        bytes_up: Payload from the clients; 0 where the network is not known.
        bytes_down: Payload to the clients.
        measured_seconds: Of computing, here.
        modelled_seconds: Over the links and machines that were assumed; NaN without profiles.
    """

    epoch: Integers
    attempt: Integers
    batch_size: Integers
    active_clients: Integers
    largest_local_batch: Integers
    loss: Floats
    deviation: Floats
    deviation_expected: Floats
    deviation_bound: Floats
    bytes_up: Integers
    bytes_down: Integers
    measured_seconds: Floats
    modelled_seconds: Floats

    def __len__(self) -> int:
        return len(self.epoch)

    def table(self) -> dict[str, list[int] | list[float]]:
        """Return the columns by name, for a data frame or JSON."""
        return {name: getattr(self, name).tolist() for name in self.__slots__}


@dataclass(frozen=True, slots=True, eq=False)
class SimulationResult:
    """A simulation.

    Attributes:
        strategy: Name of the strategy that drew the batches.
        clients: K.
        seed: From which everything random derived.
        dataset_sizes: Client -> N_k, in order of names.
        sample_bytes: Of one sample as the network takes it, which never crosses the cut.
        label_counts: Samples of each class at each client; shape (clients, classes).  None without classes.
        steps: Of all epochs.
        evaluations: In their order.
        finish: How it ended.
        model: The whole network's tensors by their original names; None where nothing was trained.
    """

    strategy: str
    clients: int
    seed: int
    dataset_sizes: Mapping[str, int]
    sample_bytes: int
    label_counts: NDArray[np.int64] | None
    steps: Steps
    evaluations: tuple[EvaluationRecord, ...]
    finish: FinishRecord
    model: Mapping[str, Tensor] | None

    @property
    def samples(self) -> int:
        """N, of all clients."""
        return sum(self.dataset_sizes.values())

    @property
    def exit_code(self) -> ExitCode:
        """That a run would have ended with."""
        return ExitCode[self.finish.outcome]

    @property
    def accuracy(self) -> float | None:
        """Of the last evaluation, 0 … 1; None where there is none."""
        return self.evaluations[-1].accuracy if self.evaluations else None

    @property
    def recalibrated_accuracy(self) -> float | None:
        """The same with BatchNorm statistics that were estimated anew; None where they were not."""
        last = self.evaluations[-1].recalibrated if self.evaluations else None
        return last.accuracy if last else None


class _Row(NamedTuple):
    """The figures of one step, in the order of `Steps`."""

    epoch: int
    attempt: int
    batch_size: int
    active_clients: int
    largest_local_batch: int
    loss: float
    deviation: float | None
    deviation_expected: float | None
    deviation_bound: float | None
    bytes_up: int
    bytes_down: int
    measured_seconds: float
    modelled_seconds: float | None


class ResultBuilder:
    """Collects the figures of steps as they come; of an allocation only sums are kept.

    Attributes:
        evaluations: So far.
        finish: How it ended; None while it has not.
    """

    def __init__(self, traffic: StepTraffic) -> None:
        self.evaluations: list[EvaluationRecord] = []
        self.finish: FinishRecord | None = None
        self._traffic = traffic
        self._rows: list[_Row] = []

    def write(self, record: Record) -> None:
        """Take in a record."""
        match record:
            case StepRecord():
                self._rows.append(self._row(record))
            case EvaluationRecord():
                self.evaluations.append(record)
            case FinishRecord():
                self.finish = record

    def steps(self) -> Steps:
        """Return the columns so far."""

        def whole(values: Sequence[int]) -> Integers:
            return np.array(values, dtype=np.int64)

        def real(values: Sequence[float | None]) -> Floats:
            return np.array(values, dtype=np.float64)

        rows = self._rows
        return Steps(
            epoch=whole([row.epoch for row in rows]),
            attempt=whole([row.attempt for row in rows]),
            batch_size=whole([row.batch_size for row in rows]),
            active_clients=whole([row.active_clients for row in rows]),
            largest_local_batch=whole([row.largest_local_batch for row in rows]),
            loss=real([row.loss for row in rows]),
            deviation=real([row.deviation for row in rows]),
            deviation_expected=real([row.deviation_expected for row in rows]),
            deviation_bound=real([row.deviation_bound for row in rows]),
            bytes_up=whole([row.bytes_up for row in rows]),
            bytes_down=whole([row.bytes_down for row in rows]),
            measured_seconds=real([row.measured_seconds for row in rows]),
            modelled_seconds=real([row.modelled_seconds for row in rows]),
        )

    def _row(self, record: StepRecord) -> _Row:
        samples = [size for _, size in record.allocation.values()]
        return _Row(
            epoch=record.epoch,
            attempt=record.attempt,
            batch_size=record.batch_size,
            active_clients=len(samples),
            largest_local_batch=max(samples),
            loss=record.loss,
            deviation=record.deviation,
            deviation_expected=record.deviation_expected,
            deviation_bound=record.deviation_bound,
            bytes_up=self._traffic.up(record.batch_size, len(samples)),
            bytes_down=self._traffic.down(record.batch_size, len(samples)),
            measured_seconds=sum(record.seconds.values()),
            modelled_seconds=record.modelled_seconds,
        )
