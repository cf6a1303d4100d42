"""What carrying out an effect gave, to be recorded; and who carries effects out."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pslgs.coordination.messages import Effect
from pslgs.coordination.numeric_faults import NumericFault
from pslgs.training.evaluation import Score


class StepOutcome(NamedTuple):
    """A step that is applied.

    Attributes:
        loss: Mean over the global batch; NaN where nothing is trained.
        learning_rate: Of the step.
        classes: The class of each sample of the global batch, where there are classes; shape (B,).
    """

    loss: float
    learning_rate: float
    classes: NDArray[np.int64]


class EvaluationOutcome(NamedTuple):
    """An evaluation.

    Attributes:
        total: Over all evaluation samples.
        recalibrated: The same with other BatchNorm statistics; of no samples where none were estimated.
        clients: Client -> score; empty where the data are the server's own.
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
