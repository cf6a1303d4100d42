"""Why pods of a job do not start, read from Kubernetes' Events when one hangs."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from pslgs_operator.assessment.timeouts import hanging, pause, without_pod_since
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
    """Reads the Warnings of namespaces; jobs of one namespace share an answer."""

    cluster: KubeClient
    _asked: dict[str, _Asked] = field(default_factory=dict)

    async def of(self, namespace: str, now: datetime) -> Mapping[str, Problem]:
        """Return why pods and Jobs of a namespace do not start, by name.

        Raises:
            RetryableError: the API server doesn't answer.
        """
        asked = self._asked.get(namespace)
        if asked is None or now - asked.at >= SHARED:
            asked = self._asked[namespace] = _Asked(now, asyncio.create_task(self._ask(namespace)))
        # The reconcile of one job may be cancelled while others wait for the same answer.
        return await asyncio.shield(asked.answer)

    async def _ask(self, namespace: str) -> Mapping[str, Problem]:
        return read_pod_warnings(await self.cluster.warnings(namespace))


async def explain_hanging_pods(
    warnings: PodWarnings, namespace: str, snapshot: Snapshot, state: TransientState, now: datetime
) -> Snapshot:
    """Add to children that do not start why they do not; Events are read less often the longer it lasts.

    Raises:
        RetryableError: the API server doesn't answer.
    """
    state.without_pod = without_pod_since(snapshot, state.without_pod, now)
    snapshot = replace(snapshot, without_pod_since=state.without_pod)
    age = hanging(snapshot, now)
    if age is None:
        state.warnings, state.warnings_read = {}, None
        return snapshot
    if state.warnings_read is None or now - state.warnings_read >= pause(age):
        state.warnings_read = now
        state.warnings = await warnings.of(namespace, now)
    return explained(snapshot, state.warnings)


def next_reading(snapshot: Snapshot, state: TransientState, now: datetime) -> Iterator[datetime]:
    """Yield when Events are read again; nothing if no pod hangs."""
    age = hanging(snapshot, now)
    if age is not None and state.warnings_read is not None:
        yield state.warnings_read + pause(age)
