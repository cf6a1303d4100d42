"""What Kubernetes complains of in a namespace, asked for once for all of its jobs."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from pslgs_operator.cluster import Cluster
from pslgs_operator.observed import Trouble
from pslgs_operator.reading.complaints import read_complaints

SHARED: Final = timedelta(seconds=2)
"""How old an answer may be that was given to another job; all Events of a namespace are a long one."""


class _Asked(NamedTuple):
    at: datetime
    answer: "asyncio.Task[Mapping[str, Trouble]]"


@dataclass(frozen=True, slots=True)
class Complaints:
    """Those of all namespaces that were asked about."""

    cluster: Cluster
    _asked: dict[str, _Asked] = field(default_factory=dict)

    async def of(self, namespace: str, now: datetime) -> Mapping[str, Trouble]:
        """Tell of a namespace's pods and Jobs, by name, why they do not start.

        Raises:
            UnavailableError: the API server doesn't answer.
        """
        asked = self._asked.get(namespace)
        if asked is None or now - asked.at >= SHARED:
            asked = self._asked[namespace] = _Asked(now, asyncio.create_task(self._ask(namespace)))
        # One job's look may be cut short while others still wait for the same answer.
        return await asyncio.shield(asked.answer)

    async def _ask(self, namespace: str) -> Mapping[str, Trouble]:
        return read_complaints(await self.cluster.warnings(namespace))
