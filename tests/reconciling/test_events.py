from datetime import UTC, datetime, timedelta

from pslgs_operator.event_recorder import event

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def make(at=AT, message="All is well."):
    return event(
        job="cifar", namespace="default", uid="u", instance="operator-0", kind="Normal", reason="Started",
        message=message, at=at,
    )  # fmt: skip


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
