"""Whatever call to the API server fails, before or after it took effect, the cluster ends as without that."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

from reconciling.faults import FAILURES, Fault
from reconciling.lifetime import LIFE, after, wrongs

QUICK = {("gets a node", "500", "after"), ("is suspended", "time-out", "before")}


def _cases() -> Iterator[Any]:
    """Yield what happens, what fails and when; two cases stand for all in a hurry."""
    for happens, failure, when in product(LIFE, FAILURES, ("before", "after")):
        marks = [] if (happens, failure, when) in QUICK else [pytest.mark.slow]
        yield pytest.param(happens, failure, when, marks=marks, id=f"{happens}-{failure}-{when}")


@pytest.mark.parametrize(("happens", "failure", "when"), list(_cases()))
async def test_the_cluster_ends_as_without_the_fault(lived, happens, failure, when):
    start, wanted, calls = lived[happens]
    for number, call in enumerate(calls):
        if when == "after" and call.startswith("read"):
            continue
        fault = Fault(number, FAILURES[failure], after=when == "after")
        end = await after(start, LIFE[happens], fault)
        trace = f"call {number}, {call}, fails with {failure} {when} it took effect:\n" + "\n".join(
            fault.calls
        )
        assert not wrongs(end, start, wanted), trace
