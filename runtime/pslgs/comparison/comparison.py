"""A finished comparison, and the views of it that tables, charts and words are made from."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from pslgs.comparison.options import ComparisonOptions
from pslgs.comparison.outcome import Outcome
from pslgs.comparison.rows import Row, row_of, spread
from pslgs.sampling.deviation import deviation_bound, expected_deviation
from pslgs.sampling.quality import CONFIDENCE, Quality
from pslgs.simulation.choices import SimulatedStrategy
from pslgs.spec.job import SplitTrainingJob

_TARGET_PART = 0.95
"""Of the best strategy's accuracy, where no target is given."""


@dataclass(frozen=True, slots=True)
class Trade:
    """What a δ of LatentDirichlet gives, on average over seeds.

    Attributes:
        delay_weight: δ.
        epoch_seconds: Modelled, of one epoch.
        deviation: Mean over its steps.
    """

    delay_weight: float
    epoch_seconds: float
    deviation: float


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """The outcomes of all cells.

    Attributes:
        job: That was simulated.
        options: How.
        outcomes: Of the comparison itself.
        curve: Of LatentDirichlet over δ.
        measured_seconds: Cell -> seconds that it computed here; the only figures that differ each time.
    """

    job: SplitTrainingJob
    options: ComparisonOptions
    outcomes: tuple[Outcome, ...]
    curve: tuple[Outcome, ...] = ()
    measured_seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def batch_size(self) -> int:
        """B, the global batch size."""
        return self.job.spec.sampling.global_batch_size

    @property
    def target_accuracy(self) -> float | None:
        """The one that was asked for, or 95 % of what the best reaches; None without accuracies."""
        if self.options.target_accuracy is not None:
            return self.options.target_accuracy
        means = [spread(each.accuracy for each in self.of(s)) for s in self.strategies]
        best = max((mean.mean for mean in means if mean), default=None)
        return None if best is None else math.floor(100 * _TARGET_PART * best) / 100

    @property
    def strategies(self) -> Sequence[SimulatedStrategy]:
        """Those that were compared, in their order."""
        return self.options.strategies

    def of(self, strategy: SimulatedStrategy) -> list[Outcome]:
        """Return a strategy's outcomes, one for each seed."""
        return [each for each in self.outcomes if each.cell.strategy is strategy]

    def rows(self) -> list[Row]:
        """Sum up each strategy."""
        target = self.target_accuracy
        return [row_of(each, self.of(each), self.batch_size, target) for each in self.strategies]

    def table(self) -> dict[str, list[Any]]:
        """Return the rows as columns, for a data frame; means, and ``…_sd`` for their spread."""
        columns: dict[str, list[Any]] = {}
        for row in self.rows():
            for name, value in _flat(row).items():
                columns.setdefault(name, []).append(value)
        return columns

    def uniform(self) -> Quality:
        """Return what a uniform batch of B samples of the pooled data is expected to be, and its bound."""
        pooled = np.array(self.outcomes[0].pooled if self.outcomes else (), dtype=np.int64)
        samples = int(pooled.sum())
        if not samples:
            return Quality()
        batch = min(self.batch_size, samples)
        return Quality(
            None,
            expected_deviation(pooled / samples, batch, samples),
            deviation_bound(len(pooled), batch, samples, CONFIDENCE),
        )

    def trades(self) -> list[Trade]:
        """Return LatentDirichlet's time and deviation, ascending by δ."""
        weights = sorted(
            {each.cell.delay_weight for each in self.curve if each.cell.delay_weight is not None}
        )
        return [self._trade(weight) for weight in weights]

    def _trade(self, weight: float) -> Trade:
        members = [each.steps for each in self.curve if each.cell.delay_weight == weight]
        return Trade(
            weight,
            float(np.mean([steps.modelled_seconds.sum() for steps in members])),
            float(np.mean([steps.deviation.mean() for steps in members])),
        )


def _flat(row: Row) -> dict[str, Any]:
    """Lay a row's spreads out as two figures each, and its goal as some."""
    flat: dict[str, Any] = {}
    for name in Row.__slots__:
        value = getattr(row, name)
        if name in {"strategy", "seeds"}:
            flat[name] = value if name == "seeds" else value.value
        elif name == "goal":
            reached = (
                asdict(value) if value else dict.fromkeys(("seeds", "steps", "modelled_seconds", "traffic"))
            )
            flat |= {f"goal_{key}": each for key, each in reached.items()}
        else:
            flat |= (
                {name: value.mean, f"{name}_sd": value.deviation}
                if value
                else {name: None, f"{name}_sd": None}
            )
    return flat
