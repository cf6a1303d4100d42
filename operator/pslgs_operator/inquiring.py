"""Asks Kubernetes why children of a job don't start: it tells in Events, which are too many to watch."""

from datetime import datetime, timedelta

from pslgs_operator.assessment.patience import hanging, pause
from pslgs_operator.complaints import Complaints
from pslgs_operator.memory import Memory
from pslgs_operator.observed import Observed
from pslgs_operator.observing import explained


async def inquire(
    complaints: Complaints, namespace: str, observed: Observed, memory: Memory, now: datetime
) -> Observed:
    """Add to children that don't start why they don't; asked seldom, and more so the longer it lasts.

    Raises:
        UnavailableError: the API server doesn't answer.
    """
    age = hanging(observed, now)
    if age is None:
        memory.complaints, memory.inquired = {}, None
        return observed
    if memory.inquired is None or now - memory.inquired >= pause(age):
        memory.inquired = now
        memory.complaints = await complaints.of(namespace, now)
    return explained(observed, memory.complaints)


def next_inquiry(observed: Observed, memory: Memory, now: datetime) -> timedelta | None:
    """Say after what time to ask again; None if nothing hangs."""
    age = hanging(observed, now)
    if age is None or memory.inquired is None:
        return None
    return max(memory.inquired + pause(age) - now, timedelta(0))
