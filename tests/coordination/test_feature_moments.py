"""Moments of features that are merged without pooling the values."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypothesis_profiles import scaled
from pslgs.coordination.feature_moments import FeatureMoments, FeatureScale

FEATURES = 3


def moments(count=2, mean=(0.0, 0.0, 0.0), deviations=(1.0, 1.0, 1.0)):
    return FeatureMoments(count, np.array(mean, float), np.array(deviations, float))


@settings(deadline=None, max_examples=scaled(60))
@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=6).filter(lambda sizes: sum(sizes) > 1),
    offset=st.sampled_from([0.0, 1.0, 1e3, 1e6]),
    seed=st.integers(0, 2**32 - 1),
)
def test_merged_moments_equal_those_of_the_pooled_values(sizes, offset, seed):
    rng = np.random.default_rng(seed)
    rows = rng.normal(offset, [0.5, 2.0, 30.0], (sum(sizes), FEATURES)) * rng.uniform(0.1, 3)
    parts = np.split(rows, np.cumsum(sizes)[:-1])
    scale = FeatureScale.over(map(FeatureMoments.of, parts), FEATURES)
    assert np.allclose(scale.mean, rows.mean(axis=0), rtol=1e-12, atol=1e-12 * offset + 1e-12)
    assert np.allclose(scale.deviation, rows.std(axis=0), rtol=1e-12 * max(1, offset))


def test_a_large_mean_does_not_cancel_a_small_deviation():
    rows = np.random.default_rng(0).normal(1e8, 1e-2, (1000, 1))
    naive = np.sqrt(max(0.0, float((rows**2).mean() - rows.mean() ** 2)))
    scale = FeatureScale.over(map(FeatureMoments.of, np.split(rows, 10)), 1)
    assert scale.deviation[0] == pytest.approx(rows.std(), rel=1e-6)
    assert naive != pytest.approx(rows.std(), rel=1e-2)


def test_a_feature_that_never_varies_and_clients_without_samples_keep_the_scale_finite():
    constant = FeatureMoments.of(np.full((7, 1), 0.1))
    scale = FeatureScale.over([FeatureMoments.none(1), constant, constant], 1)
    assert (scale.mean[0], scale.deviation[0]) == (pytest.approx(0.1, rel=1e-15), 1.0)
    empty = FeatureScale.over([FeatureMoments.none(2)], 2)
    assert (empty.mean.tolist(), empty.deviation.tolist()) == ([0, 0], [1, 1])


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        pytest.param(moments(mean=(0.0,), deviations=(1.0,)), "of 1 features came, the job has 3", id="few"),
        pytest.param(moments(deviations=(1.0,) * 4), "features came", id="of unequal length"),
        pytest.param(moments(count=11), "moments of 11 values came, of a client that holds 10", id="count"),
        pytest.param(moments(mean=(0, math.nan, 0)), "no finite numbers have", id="nan"),
        pytest.param(moments(mean=(0, math.inf, 0)), "no finite numbers have", id="infinite mean"),
        pytest.param(moments(mean=(0, 1e39, 0)), "no finite numbers have", id="mean beyond float32"),
        pytest.param(moments(deviations=(1, -1e-9, 1)), "no finite numbers have", id="negative deviation"),
        pytest.param(moments(deviations=(1, 1e80, 1)), "no finite numbers have", id="huge deviation"),
    ],
)
def test_moments_that_no_client_can_have_are_told(stated, words):
    problem = stated.violation(FEATURES, 10)
    assert problem is not None
    assert words in problem
    assert moments().violation(FEATURES, 10) is None


def test_a_scale_survives_json_to_the_bit():
    scale = FeatureScale.over(
        [FeatureMoments.of(np.random.default_rng(1).normal(size=(9, FEATURES)))], FEATURES
    )
    stored = FeatureScale.from_json(json.loads(json.dumps(scale.to_json())), FEATURES)
    assert stored.mean.tobytes() == scale.mean.tobytes()
    assert stored.deviation.tobytes() == scale.deviation.tobytes()


@pytest.mark.parametrize(
    ("mean", "deviation"),
    [([0.0], [1.0]), ([0.0] * 3, [1.0, 0.0, 1.0]), ([math.nan] * 3, [1.0] * 3), ([0.0] * 3, [math.inf] * 3)],
    ids=["too few", "zero deviation", "nan", "infinite"],
)
def test_a_scale_that_cannot_be_is_refused(mean, deviation):
    with pytest.raises(ValueError, match="do not fit 3 features"):
        FeatureScale.of(mean, deviation, FEATURES)
