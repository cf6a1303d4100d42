import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from pslgs_operator.assessment.transitions import EventSpec
from pslgs_operator.event_recorder import EventCorrelator, EventRecorder, JobReference, event
from pslgs_operator.kube_client import JobKey, NamespaceTerminatingError, RejectedError, RetryableError
from reconciling.fake_cluster import FakeCluster

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
CIFAR = JobReference("default", "cifar", "u")
KEY = JobKey("default", "cifar")


def spec(message="All is well.", reason="Started"):
    return EventSpec("Normal", reason, message)


def make(at=AT, message="All is well."):
    return event(CIFAR, spec(message), instance="operator-0", first=at)


def test_an_event_names_its_job_and_when_it_was():
    made = make()
    assert made["involvedObject"]["kind"] == "SplitTrainingJob"
    assert made["lastTimestamp"] == "2026-01-02T03:04:05Z"
    assert made["eventTime"] == "2026-01-02T03:04:05.678901Z"


def test_the_names_of_events_are_in_the_order_of_their_times():
    times = [AT + timedelta(microseconds=n) for n in (0, 1, 2, 10**6, 10**12, 10**16)]
    names = [make(at)["metadata"]["name"] for at in times]
    assert names == sorted(set(names))


def test_a_long_message_is_cut_to_what_the_api_server_takes():
    assert len(make(message="ä" * 5000)["message"].encode()) <= 1024


@pytest.fixture
def correlator():
    return EventCorrelator("operator-0")


class TestCorrelation:
    def test_a_repetition_increments_the_count_of_the_first_one(self, correlator):
        first = correlator.correlate(CIFAR, spec(), AT)
        again = correlator.correlate(CIFAR, spec(), AT + timedelta(minutes=9))
        assert not first.exists
        assert again.exists
        assert again.body["metadata"] == first.body["metadata"]
        assert again.patch == {
            "count": 2,
            "lastTimestamp": "2026-01-02T03:13:05Z",
            "message": "All is well.",
        }
        assert again.body["firstTimestamp"] == first.body["firstTimestamp"]

    def test_one_after_ten_quiet_minutes_is_new(self, correlator):
        first = correlator.correlate(CIFAR, spec(), AT)
        later = correlator.correlate(CIFAR, spec(), AT + timedelta(minutes=11))
        assert (later.exists, later.body["count"]) == (False, 1)
        assert later.body["metadata"] != first.body["metadata"]

    @pytest.mark.parametrize(
        ("job", "other"),
        [
            pytest.param(CIFAR, spec("Another."), id="message"),
            pytest.param(CIFAR, spec(reason="Recovered"), id="reason"),
            pytest.param(CIFAR, spec()._replace(type="Warning"), id="type"),
            pytest.param(CIFAR._replace(uid="v"), spec(), id="job"),
        ],
    )
    def test_what_differs_is_an_event_of_its_own(self, correlator, job, other):
        first = correlator.correlate(CIFAR, spec(), AT)
        second = correlator.correlate(job, other, AT)
        assert not second.exists
        assert second.body["metadata"]["name"] > first.body["metadata"]["name"]

    def test_many_messages_of_one_reason_are_combined(self, correlator):
        writes = [
            correlator.correlate(CIFAR, spec(f"lost edge-{n}"), AT + timedelta(seconds=n)) for n in range(13)
        ]
        assert len({write.body["metadata"]["name"] for write in writes}) == 11
        assert (writes[-1].exists, writes[-1].body["count"]) == (True, 3)
        assert writes[-1].patch["message"] == "(combined from similar events): lost edge-12"

    def test_a_job_has_25_events_and_one_more_each_5_minutes(self, correlator):
        def happen(at):
            return correlator.correlate(CIFAR, spec(), at) is not None

        assert sum(happen(AT) for _ in range(100)) == 25
        later = AT + timedelta(minutes=5)
        assert sum(happen(later) for _ in range(100)) == 1
        much_later = AT + timedelta(days=1)
        assert sum(happen(much_later) for _ in range(100)) == 25

    def test_other_jobs_do_not_pay_for_a_noisy_one(self, correlator):
        for _ in range(100):
            correlator.correlate(CIFAR, spec(), AT)
        assert correlator.correlate(CIFAR._replace(uid="v"), spec(), AT)

    def test_only_so_many_jobs_are_remembered(self, correlator):
        for number in range(5000):
            correlator.correlate(CIFAR._replace(uid=f"{number}"), spec(), AT)
        assert len(correlator._jobs) == 4096
        correlator.forget("4999")
        assert len(correlator._jobs) == 4095


class TestRecorder:
    @pytest.fixture
    def cluster(self):
        return FakeCluster()

    @pytest.fixture
    def recorder(self, cluster, correlator):
        return EventRecorder(cluster, correlator)

    async def test_a_flapping_edge_is_two_events(self, cluster, recorder):
        for number in range(20):
            recorder.record(CIFAR, spec(f"edge {'lost' if number % 2 else 'back'}"), AT)
            await recorder.flush(KEY)
        assert [each["count"] for each in cluster.events] == [10, 10]

    @pytest.mark.parametrize(
        "error",
        [
            RejectedError("Forbidden", "no"),
            RetryableError("429 TooManyRequests"),
            NamespaceTerminatingError(""),
        ],
        ids=lambda error: type(error).__name__,
    )
    async def test_an_event_that_fails_hides_no_other(self, cluster, recorder, monkeypatch, error):
        post = cluster.post_event

        async def refuse_first(body):
            if body["reason"] == "First":
                raise error
            await post(body)

        monkeypatch.setattr(cluster, "post_event", refuse_first)
        for reason in ("First", "Second"):
            recorder.record(CIFAR, spec(reason=reason), AT)
        for _ in range(5):
            await recorder.flush(KEY)
        assert [each["reason"] for each in cluster.events] == ["Second"]
        assert not recorder.has_pending(KEY)

    async def test_an_event_whose_answer_is_lost_is_there_once(self, cluster, recorder, monkeypatch):
        post = cluster.post_event

        async def lose_the_answer(body):
            await post(body)
            raise RetryableError("connection reset")

        with monkeypatch.context() as context:
            context.setattr(cluster, "post_event", lose_the_answer)
            recorder.record(CIFAR, spec(), AT)
            await recorder.flush(KEY)
        assert recorder.has_pending(KEY)
        await recorder.flush(KEY)
        assert len(cluster.events) == 1
        assert not recorder.has_pending(KEY)

    async def test_a_repetition_of_an_event_that_is_gone_is_created(self, cluster, recorder):
        recorder.record(CIFAR, spec(), AT)
        await recorder.flush(KEY)
        cluster.events.clear()
        recorder.record(CIFAR, spec(), AT)
        await recorder.flush(KEY)
        assert [each["count"] for each in cluster.events] == [2]

    async def test_an_api_server_that_hangs_delays_nothing_for_long(self, cluster, recorder, monkeypatch):
        async def hang(_):
            await asyncio.Event().wait()

        monkeypatch.setattr("pslgs_operator.event_recorder._FLUSH_SECONDS", 0.0)
        monkeypatch.setattr(cluster, "post_event", hang)
        recorder.record(CIFAR, spec(), AT)
        async with asyncio.timeout(10):
            for _ in range(3):
                assert recorder.has_pending(KEY)
                await recorder.flush(KEY)
        assert not recorder.has_pending(KEY)
