"""The settings of the paper's tables: partitions, numbers of clients and strategies."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pslgs.comparison.api import compare
from pslgs.comparison.pool import NOBODY, Watcher
from pslgs.comparison.summary import Comparison
from pslgs.simulation.job_variants import Skew
from pslgs.spec.job import SplitTrainingJob
from pslgs.spec.training import SamplingStrategy

CLIENTS = (16, 32, 64, 128)
NAMES: dict[str, str] = {
    SamplingStrategy.GLOBAL: "GPSL",
    SamplingStrategy.FIXED_PROPORTIONAL_LOCAL: "FPLS",
    SamplingStrategy.FIXED_LOCAL: "FLS",
}
"""Strategy -> its name in the paper."""


class Setting(NamedTuple):
    """A partition among a number of clients."""

    skew: Skew
    clients: int

    def __str__(self) -> str:
        return f"{self.skew}-{self.clients}"

    @property
    def strategies(self) -> list[str]:
        """The strategies that differ: with IID data, all are like Global."""
        return [SamplingStrategy.GLOBAL] if self.skew is Skew.IID else list(NAMES)


@dataclass(frozen=True)
class Computing:
    """Where trials are computed, and where their results are kept; see `compare`."""

    folder: Path
    device: str
    threads: int
    jobs: int
    scheduler: str | None


def settings(*skews: Skew) -> Iterator[Setting]:
    """Yield the settings of some partitions in the order of the tables."""
    return (Setting(skew, clients) for skew in skews for clients in CLIENTS)


def compared(  # noqa: PLR0913 - what is compared, and how
    job: SplitTrainingJob,
    setting: Setting,
    seeds: int,
    computing: Computing,
    *,
    schedule_only: bool,
    watcher: Watcher = NOBODY,
) -> Comparison:
    """Compare the strategies of a setting; batches and trainings have folders of their own."""
    return compare(
        job,
        strategies=setting.strategies,
        seeds=range(seeds),
        clients=setting.clients,
        partition=setting.skew,
        schedule_only=schedule_only,
        threads=computing.threads,
        device=computing.device,
        folder=folder_of(setting, computing, schedule_only=schedule_only),
        jobs=computing.jobs,
        scheduler=computing.scheduler,
        watcher=watcher,
    )


def folder_of(setting: Setting, computing: Computing, *, schedule_only: bool) -> Path:
    """Return the folder that keeps the trials of a setting."""
    return computing.folder / (f"{setting}" if schedule_only else f"{setting}-trained")
