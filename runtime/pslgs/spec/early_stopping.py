"""When a training ends before its last epoch."""

from pydantic import Field

from pslgs.spec.base import SpecModel
from pslgs.spec.scalars import Count, NotNegative


class EarlyStopping(SpecModel):
    """Ends the training once evaluations have stopped getting better."""

    patience: Count = Field(
        default=5,
        description="Number of evaluations in a row without improvement after which the training ends.",
    )
    min_delta: NotNegative = Field(
        default=0.0,
        description="Smallest change of the metric that counts as an improvement, in the metric's own unit; "
        "0.001 is a tenth of a percent of accuracy. By default, every change for the better counts.",
    )
