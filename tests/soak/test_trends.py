"""A trend tells what grows from what only varies."""

import numpy as np
import pytest

from soak.gauges import Gauges, is_flat, table
from soak.trend import Verdict, trend

HOUR = np.arange(0, 3600, 10.0)


@pytest.fixture
def noise():
    """Of memory: a few MiB that come and go within minutes."""
    rng = np.random.default_rng(8)
    return np.convolve(rng.normal(0, 1.5, len(HOUR) + 11), np.ones(12) / 4, "valid")


def test_what_varies_is_flat(noise):
    assert trend(HOUR, 500 + noise, 10).verdict == Verdict.FLAT


def test_what_grows_beneath_its_variations_is_found(noise):
    assert trend(HOUR, 500 + noise + 20 * HOUR / 3600, 10).verdict == Verdict.GROWS


def test_what_is_too_short_to_tell_is_unclear(noise):
    assert trend(HOUR[:60], 500 + noise[:60], 10).verdict == Verdict.UNCLEAR


def test_a_warm_up_does_not_count():
    warm_up = np.minimum(HOUR, 600) / 6
    assert trend(HOUR, 100 + warm_up, 1).verdict == Verdict.FLAT


def test_a_rare_outlier_does_not_count():
    values = np.full(len(HOUR), 40.0)
    values[-3:] = 400
    assert trend(HOUR, values, 1).verdict == Verdict.FLAT


def test_a_constant_has_no_slope():
    found = trend(HOUR, np.full(len(HOUR), 7.0), 1)
    assert (found.level, found.low, found.high) == (7, 0, 0)


def test_too_few_values_are_refused():
    with pytest.raises(ValueError, match="3 values of 2 s are too few"):
        trend([0, 1, 2], [1, 1, 1], 1)


def test_nothing_measured_is_not_flat():
    assert not is_flat(Gauges().trends())


def test_the_table_names_what_grows():
    steady, growing = trend(HOUR, np.full(len(HOUR), 7.0), 1), trend(HOUR, HOUR, 1)
    lines = table({"series": steady, "descriptors": growing}).splitlines()
    assert lines[2].endswith("| +0.00 … +0.00 | +1.0 | flat |")
    assert lines[3].endswith("| +3600.00 … +3600.00 | +1.0 | grows |")
    assert is_flat({"series": steady})
    assert not is_flat({"series": steady, "descriptors": growing}, unclear=True)
    assert not is_flat({"series": steady, "descriptors": growing})
