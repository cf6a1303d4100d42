from pathlib import Path

import pytest

from pslgs import compare
from pslgs.comparison.summary import Comparison
from simulation.jobs import job

STRATEGIES = ("Centralized", "Global", "FixedLocal", "FixedProportionalLocal", "LatentDirichlet")


@pytest.fixture(scope="session")
def looked() -> Comparison:
    """The batches of two seeds over assumed links; nothing is trained."""
    return compare(
        job(),
        strategies=STRATEGIES,
        seeds=2,
        partition="severe",
        profile="lan:0.7,lte:0.3",
        schedule_only=True,
    )


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> tuple[Comparison, Path]:
    """Two strategies, trained with two seeds, and their folder."""
    folder = tmp_path_factory.mktemp("trained")
    return compare(job(), strategies=STRATEGIES[1:3], seeds=2, partition="severe", folder=folder), folder
