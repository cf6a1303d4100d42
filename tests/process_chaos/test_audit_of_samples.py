"""The audit of a run finds what must not be."""

import pytest

from process_chaos.samples import audit, last_step
from pslgs.telemetry.journal import Journal
from pslgs.telemetry.records import StepRecord


def step(number: int, epoch: int, allocation: dict[str, tuple[int, int]]) -> StepRecord:
    return StepRecord(1.0, epoch, number, 1, 0.5, 8, 0.2, 0.2, 0.5, 0.1, allocation, {})


GOOD = [
    step(1, 1, {"a": (0, 3), "b": (0, 1)}),
    step(2, 1, {"a": (3, 1), "b": (1, 3)}),
    step(3, 2, {"a": (0, 4), "b": (0, 4)}),
]


@pytest.mark.parametrize(
    ("steps", "wrong"),
    [
        pytest.param(GOOD, [], id="good"),
        pytest.param(GOOD[1:], ["steps are missing", "12 samples were used, not 2 x 8"], id="missing"),
        pytest.param([GOOD[0], *GOOD], ["steps are missing", "4 samples were used more than"], id="twice"),
        pytest.param(
            [GOOD[0], step(2, 1, {"a": (2, 2), "b": (1, 3)}), GOOD[2]],
            ["1 samples were used more than once, such as (1, 'a', 2)"],
            id="overlap",
        ),
        pytest.param(GOOD[:2], ["8 samples were used, not 2 x 8"], id="epoch-missing"),
    ],
)
def test_the_audit_finds_missing_and_double_steps_and_samples(steps, wrong, tmp_path):
    path = tmp_path / "metrics.jsonl"
    with Journal(path) as journal:
        for record in steps:
            journal.append(record)
    found = audit(path, 2, 8)
    assert len(found) == len(wrong)
    assert all(line.startswith(words) for line, words in zip(found, wrong, strict=True))
    assert last_step(path) == steps[-1].step


def test_a_run_without_a_record_is_at_step_zero(tmp_path):
    assert last_step(tmp_path / "metrics.jsonl") == 0
