"""Which namespaces of ``watchNamespaces`` are there, so that one that is missing holds up no other."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from kubernetes.aio.client import ApiClient

from pslgs_operator.api.errors import ApiError, Meaning
from pslgs_operator.api.rest import request
from pslgs_operator.gvk import TRAINING_JOBS
from pslgs_operator.insights import Insights, set_namespaces
from pslgs_operator.kube_client import RetryableError

_log = logging.getLogger(__name__)

PROBE_INTERVAL: Final = timedelta(seconds=15)
"""Time between two checks which namespaces exist; it is far below the life of a watch (`tune`), which
would end the process if it were renewed in a namespace that is gone."""


@dataclass(slots=True, eq=False)
class WatchedNamespaces:
    """Keeps the namespaces that kopf watches equal to those of ``wanted`` whose jobs can be listed.

    Attributes:
        wanted: Namespaces by name; empty for all, which need no care.
        insights: What kopf watches.
        changed: Is called after namespaces came or went.
    """

    client: ApiClient
    wanted: tuple[str, ...]
    insights: Insights
    changed: Callable[[], None]
    _served: set[str] = field(default_factory=set)
    _missing: set[str] = field(default_factory=set)

    def served(self) -> Sequence[str | None]:
        """Return those that are watched; None stands for all."""
        return sorted(self._served) if self.wanted else (None,)

    def serves(self, namespace: str) -> bool:
        """Return whether a namespace is watched."""
        return not self.wanted or namespace in self._served

    def by_name(self) -> dict[str, bool]:
        """Return for each wanted namespace whether it is watched."""
        return {namespace: namespace in self._served for namespace in self.wanted}

    async def run(self) -> None:
        """Check at intervals, until cancelled."""
        while self.wanted:
            await asyncio.sleep(PROBE_INTERVAL.total_seconds())
            await self.refresh()

    async def refresh(self) -> None:
        """Check once; a namespace keeps its state if the API server does not answer."""
        there = {each: await self._is_there(each) for each in self.wanted}
        served = {each for each, found in there.items() if (each in self._served if found is None else found)}
        if served == self._served:
            return
        for namespace in sorted(served - self._served):
            _log.info("jobs in namespace %s are reconciled from now on", namespace)
        self._served = served
        self._missing -= served
        await set_namespaces(self.insights, self.wanted, served)
        self.changed()

    async def _is_there(self, namespace: str) -> bool | None:
        """Return whether jobs can be listed there; None if the API server does not answer."""
        query = {"limit": "1", "resourceVersion": "0"}
        try:
            await request(self.client, "GET", TRAINING_JOBS.path(namespace), query=query)
        except RetryableError:
            return None
        except ApiError as error:
            if error.meaning is Meaning.RETRY:
                return None
            if namespace not in self._missing:
                self._missing.add(namespace)
                _log.warning(
                    "namespace %s of watchNamespaces is skipped until its jobs can be listed; "
                    "does it exist, with the operator's Role and RoleBinding? %s",
                    namespace,
                    error.message,
                )
            return False
        return True
