"""Whatever call fails while Kueue admits or evicts a job, the cluster ends as without that."""

from collections.abc import Callable

import pytest

from pslgs_operator.settings import Settings
from reconciling.faults import FAILURES, Fault
from reconciling.kueue import QueuedWorld, in_training
from reconciling.lifetime import Operator, differences, state


def _evicted(world: QueuedWorld) -> None:
    world.report = None
    world.evict()


PAST = "accumulatedPastExecutionTimeSeconds"
"""It grows until the quota is given back, which takes longer with a fault."""
HAPPENS: dict[str, Callable[[QueuedWorld], None]] = {
    "is evicted": _evicted,
    "completes": lambda world: world.complete("digits-server"),
}


async def after(start: QueuedWorld, happens: str, fault: Fault) -> QueuedWorld:
    world = start.clone()
    HAPPENS[happens](world)
    operator = Operator(world, Settings(kueue=True))
    fault.attach(operator)
    await operator.settle()
    return world


@pytest.mark.slow
@pytest.mark.parametrize(
    ("happens", "failure", "when"),
    [
        pytest.param("is evicted", "409", "before", id="eviction-conflict"),
        pytest.param("is evicted", "time-out", "after", id="eviction-no-answer"),
        pytest.param("is evicted", "500", "before", id="eviction-error"),
        pytest.param("completes", "409", "before", id="end-conflict"),
        pytest.param("completes", "time-out", "after", id="end-no-answer"),
    ],
)
async def test_the_cluster_ends_as_without_the_fault(happens, failure, when):
    start, _ = await in_training()
    calm = Fault()
    wanted = await after(start, happens, calm)
    for number, call in enumerate(calm.calls[:30]):
        if call.startswith("read"):
            continue
        fault = Fault(number, FAILURES[failure], after=when == "after")
        end = await after(start, happens, fault)
        found = [each for each in differences(state(end), state(wanted)) if PAST not in each]
        assert not found, f"{call} fails {when} it took effect"
