"""How many random examples are tried: all of them in `make test`, a tenth in `make test-fast`."""

import pytest
from hypothesis import settings

PATIENT = "patient"
QUICK = "quick"


def register() -> None:
    """Make the profiles known, and load the one that tries all examples.

    A busy machine makes a single example slow now and then; pytest-timeout ends what hangs.
    """
    settings.register_profile(PATIENT, max_examples=100, deadline=None)
    settings.register_profile(QUICK, max_examples=10, deadline=None)
    settings.load_profile(PATIENT)


def scaled(examples: int) -> int:
    """Scale a test's own number of examples to the profile: it is the number of ``patient``."""
    return max(1, examples * settings().max_examples // 100)


def seeds(number: int) -> list[object]:
    """Return the parameters of a test of ``number`` seeds; all but a tenth of them are slow."""
    fast = max(1, number // 10)
    return [pytest.param(seed, marks=[pytest.mark.slow] * (seed >= fast)) for seed in range(number)]
