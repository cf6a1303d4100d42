"""The scale of features: stated by clients, fixed before the first request, the same for all."""

import numpy as np
import pytest

from pslgs.coordination.feature_moments import FeatureMoments, FeatureScale
from pslgs.server.feature_statistics import FeatureStatistics
from pslgs.server.hello_checks import ImplausibleClaim
from pslgs.transport.messages import control_frame
from pslgs.transport.v1 import training_pb2 as wire
from server.fakes import FakeSession, bodies, settle

ROWS = np.random.default_rng(0).normal(3, 2, (10, 2))


def hello(rows=ROWS, samples=None, **changes) -> wire.Hello:
    found = FeatureMoments.of(rows)
    stated = {"count": found.count, "mean": found.mean, "deviations": found.deviations} | changes
    return wire.Hello(
        samples=len(rows) if samples is None else samples, feature_moments=wire.FeatureMoments(**stated)
    )


async def sent(statistics: FeatureStatistics, session: FakeSession) -> list[str | None]:
    """Let the server send two orders, and return the bodies."""
    order = control_frame(wire.Header(forward=wire.Forward(step=1)))
    for _ in range(2):
        session.post(statistics.preceding(session.number, [order]))
    await settle()
    return bodies(session)


def scale_sent(session: FakeSession) -> FeatureScale:
    found = session.sent_frames[0].header.standardization
    return FeatureScale.of(found.mean, found.deviation, 2)


async def test_the_scale_is_that_of_the_connected_clients_and_precedes_the_first_order_of_each():
    statistics = FeatureStatistics(features=2)
    one, other, left, late = (FakeSession(f"edge-{i}", i + 1) for i in range(4))
    statistics.state(other, hello(ROWS[6:]))
    statistics.state(one, hello(ROWS[:6]))
    statistics.state(left, hello(ROWS * 100))
    statistics.withdraw(left)
    assert statistics.scale is None
    assert await sent(statistics, one) == ["standardization", "forward", "forward"]
    statistics.state(late, hello(ROWS * 1000))
    assert await sent(statistics, late) == ["standardization", "forward", "forward"]
    for session in (one, late):
        assert np.allclose(scale_sent(session).mean, ROWS.mean(axis=0), rtol=1e-12)
        assert np.allclose(scale_sent(session).deviation, ROWS.std(axis=0), rtol=1e-12)


async def test_the_order_of_arrival_does_not_change_a_bit():
    scales = []
    for order in ((0, 1, 2), (2, 0, 1)):
        statistics = FeatureStatistics(features=2)
        for number in order:
            statistics.state(FakeSession(f"edge-{number}", number), hello(ROWS[number::3]))
        statistics.fix()
        scales.append(statistics.scale)
    assert scales[0].mean.tobytes() == scales[1].mean.tobytes()
    assert scales[0].deviation.tobytes() == scales[1].deviation.tobytes()


async def test_an_older_session_that_ends_late_does_not_withdraw_the_newer_ones_moments():
    statistics = FeatureStatistics(features=2)
    old, new = FakeSession("edge-0", 1), FakeSession("edge-0", 2)
    statistics.state(old, hello(ROWS * 0))
    statistics.state(new, hello())
    statistics.withdraw(old)
    statistics.fix()
    assert np.allclose(statistics.scale.mean, ROWS.mean(axis=0))


async def test_a_resumed_run_keeps_the_scale_of_its_checkpoint():
    stored = FeatureScale.of([1.0, 2.0], [3.0, 4.0], 2)
    statistics = FeatureStatistics(features=2, scale=stored)
    session = FakeSession("edge-0", 1)
    statistics.state(session, hello())
    await sent(statistics, session)
    assert scale_sent(session).to_json() == stored.to_json() == statistics.to_json()


async def test_a_job_that_standardises_nothing_sends_nothing_more():
    statistics = FeatureStatistics()
    assert await sent(statistics, FakeSession("edge-0", 1)) == ["forward", "forward"]
    assert statistics.to_json() is None
    statistics.check(wire.Hello(samples=3))


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        pytest.param(wire.Hello(samples=3), "moments of 0 features came", id="none"),
        pytest.param(hello(ROWS[:, :1]), "moments of 1 features came", id="too few"),
        pytest.param(hello(mean=[0.0] * 8000), "moments of 8000 features came", id="far too many"),
        pytest.param(hello(samples=9), "moments of 10 values came", id="more values than samples"),
        pytest.param(hello(mean=[float("nan"), 0.0]), "moments of features came that no finite", id="nan"),
    ],
)
def test_moments_that_do_not_fit_the_job_are_refused(stated, words):
    statistics = FeatureStatistics(features=2)
    with pytest.raises(ImplausibleClaim, match=f"spec.data.standardize: {words}"):
        statistics.check(stated)
    statistics.check(hello())
