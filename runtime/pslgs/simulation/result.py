"""The result of a simulation: figures of every step as arrays, evaluations and the model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pslgs.costs.traffic import StepTraffic
from pslgs.spec.exit_codes import ExitCode
from pslgs.telemetry.records import EvaluationRecord, FinishRecord, Record, StepRecord
from pslgs.training.description import ModelDescription

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """Figures of the applied steps, arrays of shape (steps,); NaN for what is not known.

    Attributes:
        epoch: Epoch, counted from 1.
        attempt: Attempt that succeeded, counted from 1.
        batch_size: Samples of all clients together.
        active_clients: Number of clients that contributed samples.
        largest_share: Largest local batch size.
        loss: Mean loss over the batch; NaN without training.
        deviation: L1 distance of the batch's class proportions from the pooled ones, 0 … 2.
        deviation_expected: Expected deviation of a uniform batch of that size.
        deviation_bound: Deviation that a uniform batch exceeds with probability at most 1 % (Serfling, L1).
        bytes_up: Payload from all clients to the server.
        bytes_down: Payload from the server to all clients.
        measured_seconds: Seconds of computing on this machine.
        modelled_seconds: Seconds over the assumed links and machines; NaN without profiles.
    """

    epoch: Integers
    attempt: Integers
    batch_size: Integers
    active_clients: Integers
    largest_share: Integers
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

    @classmethod
    def of_columns(cls, columns: Mapping[str, Sequence[float | None]]) -> "Steps":
        """Create the table from lists by the names of its attributes, None for what is not known.

        Raises:
            KeyError: a column is missing.
            ValueError, TypeError, OverflowError: a column has another length, or values of another type.
        """
        arrays: dict[str, Any] = {
            each.name: np.array(columns[each.name], np.int64 if each.type is Integers else np.float64)
            for each in fields(cls)
        }
        if len({array.shape for array in arrays.values()}) > 1:
            raise ValueError("the columns of the steps differ in length")
        return cls(**arrays)

    def table(self) -> dict[str, list[int] | list[float]]:
        """Return the columns by name, for a data frame or JSON."""
        return {name: getattr(self, name).tolist() for name in self.__slots__}


@dataclass(frozen=True, slots=True, eq=False)
class SimulationResult:
    """The result of a simulation.

    Attributes:
        strategy: Name of the strategy that drew the batches.
        clients: K, number of clients.
        seed: Seed of every random number.
        dataset_sizes: Client -> N_k, in order of names.
        sample_bytes: Bytes of one input sample, which never leaves its client.
        label_counts: Samples of each class at each client; shape (clients, classes).  None without classes.
        steps: Figures of the steps of all epochs.
        evaluations: Records of the evaluations, in order.
        finish: Record of the end.
        model: Original name -> tensor of the whole network; None without training.
        description: What the model is.
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
    description: ModelDescription

    @property
    def samples(self) -> int:
        """N, number of samples of all clients."""
        return sum(self.dataset_sizes.values())

    @property
    def exit_code(self) -> ExitCode:
        """Exit code with which a run would have ended."""
        return ExitCode[self.finish.outcome]

    @property
    def accuracy(self) -> float | None:
        """Accuracy of the last evaluation, 0 … 1; None without one."""
        return self.evaluations[-1].accuracy if self.evaluations else None

    @property
    def recalibrated_accuracy(self) -> float | None:
        """Accuracy of the last evaluation with recalibrated BatchNorm statistics; None without them."""
        last = self.evaluations[-1].recalibrated if self.evaluations else None
        return last.accuracy if last else None


class ResultBuilder:
    """Collects records into the columns of a result; of an allocation it keeps only sums.

    Attributes:
        evaluations: Records of the evaluations so far.
        finish: Record of the end; None before.
    """

    def __init__(self, traffic: StepTraffic) -> None:
        self.evaluations: list[EvaluationRecord] = []
        self.finish: FinishRecord | None = None
        self._traffic = traffic
        self._columns: dict[str, list[float | None]] = {each.name: [] for each in fields(Steps)}

    def write(self, record: Record) -> None:
        """Add a record."""
        match record:
            case StepRecord():
                for name, figure in self._figures(record).items():
                    self._columns[name].append(figure)
            case EvaluationRecord():
                self.evaluations.append(record)
            case FinishRecord():
                self.finish = record

    def steps(self) -> Steps:
        """Return the figures of the steps so far."""
        return Steps.of_columns(self._columns)

    def _figures(self, record: StepRecord) -> Mapping[str, float | None]:
        samples = [size for _, size in record.allocation.values()]
        return {
            "epoch": record.epoch,
            "attempt": record.attempt,
            "batch_size": record.batch_size,
            "active_clients": len(samples),
            "largest_share": max(samples),
            "loss": record.loss,
            "deviation": record.deviation,
            "deviation_expected": record.deviation_expected,
            "deviation_bound": record.deviation_bound,
            "bytes_up": self._traffic.up(record.batch_size, len(samples)),
            "bytes_down": self._traffic.down(record.batch_size, len(samples)),
            "measured_seconds": sum(record.seconds.values()),
            "modelled_seconds": record.modelled_seconds,
        }
