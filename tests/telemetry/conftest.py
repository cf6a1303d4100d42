from collections.abc import Callable
from dataclasses import replace

import pytest

from pslgs.telemetry.records import StepRecord


@pytest.fixture
def step() -> Callable[..., StepRecord]:
    """Return a function that makes a step record with defaults for missing fields."""
    ordinary = StepRecord(
        time=1000.0,
        epoch=1,
        step=1,
        attempt=1,
        loss=2.3,
        batch_size=8,
        deviation=0.2,
        deviation_expected=0.21,
        deviation_bound=0.5,
        learning_rate=0.1,
        allocation={"a": (0, 5), "b": (3, 3)},
        seconds={"forward_wait": 0.2, "server": 0.1, "backward_wait": 0.2, "update": 0.05},
        response_seconds={"a": (0.1, 0.2), "b": (0.2, 0.1)},
    )
    return lambda **changes: replace(ordinary, **changes)
