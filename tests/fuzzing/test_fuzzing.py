"""Decoders of what comes from outside return or raise their documented errors, whatever they are given."""

from pathlib import Path

import pytest

from fuzzing.engine import fuzz
from fuzzing.table import TARGETS

pytestmark = pytest.mark.slow
SEED = 0


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_inputs_are_decoded_or_refused(name: str, scratch: Path) -> None:
    target = TARGETS[name](scratch)
    report = fuzz(target, target.inputs, SEED)
    assert report.inputs == target.inputs
    assert report.accepted
    assert [f"{each.problem}: {each.data!r}\n{each.trace}" for each in report.findings.values()] == []
