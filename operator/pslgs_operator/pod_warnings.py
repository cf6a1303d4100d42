"""Why pods of a job do not start, asked from Kubernetes' Events when one hangs."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from pslgs_operator.assessment.timeouts import hanging, pause, podless_since
from pslgs_operator.job_state import TransientState
from pslgs_operator.kube_client import KubeClient
from pslgs_operator.observe import explained
from pslgs_operator.parse.pod_warnings import read_pod_warnings
from pslgs_operator.snapshot import Problem, Snapshot

SHARED: Final = timedelta(seconds=2)
"""How old an answer may be that was given to another job; all Events of a namespace are a long one."""


class _Asked(NamedTuple):
    at: datetime
    answer: "asyncio.Task[Mapping[str, Problem]]"


@dataclass(frozen=True, slots=True)
class PodWarnings:
    """Those of all namespaces that were asked about."""

    cluster: KubeClient
    _asked: dict[str, _Asked] = field(default_factory=dict)

    async def of(self, namespace: str, now: datetime) -> Mapping[str, Problem]:
        """Tell of a namespace's pods and Jobs, by name, why they do not start.

        Raises:
            RetryableError: the API server doesn't answer.
        """
        asked = self._asked.get(namespace)
        if asked is None or now - asked.at >= SHARED:
            asked = self._asked[namespace] = _Asked(now, asyncio.create_task(self._ask(namespace)))
        # One job's look may be cut short while others still wait for the same answer.
        return await asyncio.shield(asked.answer)

    async def _ask(self, namespace: str) -> Mapping[str, Problem]:
        return read_pod_warnings(await self.cluster.warnings(namespace))


async def explain_hanging_pods(
    complaints: PodWarnings, namespace: str, snapshot: Snapshot, memory: TransientState, now: datetime
) -> Snapshot:
    """Add to children that don't start why they don't; asked seldom, and more so the longer it lasts.

    Raises:
        RetryableError: the API server doesn't answer.
    """
    memory.podless = podless_since(snapshot, memory.podless, now)
    snapshot = replace(snapshot, podless_since=memory.podless)
    age = hanging(snapshot, now)
    if age is None:
        memory.complaints, memory.inquired = {}, None
        return snapshot
    if memory.inquired is None or now - memory.inquired >= pause(age):
        memory.inquired = now
        memory.complaints = await complaints.of(namespace, now)
    return explained(snapshot, memory.complaints)


def next_explanation(snapshot: Snapshot, memory: TransientState, now: datetime) -> timedelta | None:
    """Say after what time to ask again; None if nothing hangs."""
    age = hanging(snapshot, now)
    if age is None or memory.inquired is None:
        return None
    return max(memory.inquired + pause(age) - now, timedelta(0))
