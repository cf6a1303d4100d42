"""The results of carrying out effects, and the protocol of what carries them out."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pslgs.coordination.messages import Effect
from pslgs.coordination.numeric_faults import NumericFault
from pslgs.training.evaluation import Score


class StepOutcome(NamedTuple):
    """The result of an applied step.

    Attributes:
        loss: Mean loss over the global batch; NaN without training.
        learning_rate: Learning rate of the step; NaN without training.
        classes: Class of each sample of the global batch, zeros without classes; shape (B,).
    """

    loss: float
    learning_rate: float
    classes: NDArray[np.int64]


class EvaluationOutcome(NamedTuple):
    """The result of an evaluation.

    Attributes:
        total: Score on all evaluation samples.
        recalibrated: Score with recalibrated BatchNorm statistics; of no samples without recalibration.
        clients: Client -> score on its samples; empty if the server has the evaluation data.
    """

    total: Score
    recalibrated: Score = Score()
    clients: Mapping[str, Score] = MappingProxyType({})


Outcome = StepOutcome | EvaluationOutcome | NumericFault
"""The result of carrying out an effect; with a `NumericFault` it could not be carried out."""


class Executor(Protocol):
    """Carries out the coordinator's effects, with tensors or without."""

    def perform(self, effect: Effect) -> Outcome | None:
        """Carry out an effect; return its result, if it has any."""
        ...
