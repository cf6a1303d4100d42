import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pslgs.reporting.formatting import count, duration, moment, percent
from pslgs.reporting.history import History, condensed
from pslgs.reporting.timeline import ROWS_LIMIT, events
from pslgs.telemetry.records import AbortRecord, CheckpointRecord, StepRecord
from reporting.synthetic import run

SPACE = "\N{NO-BREAK SPACE}"


@given(st.lists(st.floats(-1e6, 1e6), max_size=500), st.integers(1, 50))
def test_condensing_keeps_the_extremes_the_mean_and_the_end(values, points):
    places = np.arange(1, len(values) + 1)
    series = condensed(places, values, points)

    assert len(series.x) == min(points, len(values))
    assert np.all(np.diff(series.x) > 0)
    if values:
        sizes = np.diff(series.x, prepend=0)
        assert series.x[-1] == len(values)
        assert sizes.max() - sizes.min() <= 1
        assert series.low.min() == min(values)
        assert series.high.max() == max(values)
        assert np.sum(series.mean * sizes) / len(values) == pytest.approx(np.mean(values), abs=1e-6)


def test_a_short_series_stays_as_it_is():
    series = condensed([3, 4, 9], [1.0, 5.0, 2.0])

    np.testing.assert_array_equal(series.x, [3, 4, 9])
    for values in (series.mean, series.low, series.high):
        np.testing.assert_array_equal(values, [1, 5, 2])


def test_what_is_not_finite_leaves_a_gap():
    series = condensed(range(4), [1.0, float("inf"), float("nan"), 2.0], 2)

    assert np.isnan(series.mean).all()


def test_sums_by_client_are_those_of_all_steps():
    records = run(epochs=2)
    history = History(tuple(records))
    steps = [record for record in records if isinstance(record, StepRecord)]

    assert history.used_samples().total() == sum(step.batch_size for step in steps)
    assert history.skipped_samples() == {"edge-002-0": 214}
    assert history.clients() == [f"edge-{number:03}-0" for number in range(16)]


def test_the_speed_is_that_of_an_ordinary_step():
    def step(number, time):
        return StepRecord(time, 1, number, 1, 1.0, 10, None, None, None, 0.1, {}, {})

    steps = [step(number, number / 2) for number in range(1, 6)]
    after_a_stop = [step(number, 1000 + number / 2) for number in range(6, 9)]

    assert History((*steps, *after_a_stop)).samples_per_second() == pytest.approx(20)
    assert History((steps[0],)).samples_per_second() is None
    assert History((steps[0], steps[0])).samples_per_second() is None


def test_a_clock_that_is_set_back_makes_a_run_no_shorter():
    records = [
        CheckpointRecord(time, step, 0.1) for step, time in enumerate((5000.0, 5010.0, 1400.0, 1415.0))
    ]

    assert History(tuple(records)).seconds == 25
    assert History(()).seconds == 0


def test_checkpoints_in_a_row_are_told_once():
    records = [CheckpointRecord(float(step), step, 0.1) for step in (50, 100, 150)]

    assert [event.text for event in events(History(tuple(records)))] == [
        "3 checkpoints, the last: checkpoint of step 150"
    ]
    failed = CheckpointRecord(4.0, 200, 0.1, "disk full")
    assert len(events(History((*records, failed, records[0])))) == 3


def test_of_very_many_events_the_first_and_last_are_told():
    records = tuple(AbortRecord(float(step), 1, step, 1, "why") for step in range(1, 501))

    rows = events(History(records))

    assert len(rows) == ROWS_LIMIT + 1
    assert "step 1 " in rows[0].text
    assert "step 500 " in rows[-1].text
    assert rows[ROWS_LIMIT // 2].text == f"… and 300{SPACE}other events …"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (count(1, "step"), "1 step"),
        (count(1000, "step"), "1,000 steps"),
        (count(0, "step"), "0 steps"),
        (percent(0.8321), "83.2 %"),
        (duration(4.25), "4.2 s"),
        (duration(59.97), "1 min 00 s"),
        (duration(187.4), "3 min 07 s"),
        (duration(3599.7), "1 h 00 min"),
        (duration(7500), "2 h 05 min"),
        (moment(0), "1970-01-01 00:00:00 UTC"),
    ],
    ids=lambda text: text,
)
def test_numbers_read_well(text, expected):
    assert text.replace(SPACE, " ") == expected
