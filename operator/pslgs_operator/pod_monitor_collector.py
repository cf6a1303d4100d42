"""Delete PodMonitors of jobs after the setting that creates them was switched off.

The operator does not watch PodMonitors then: most clusters do not have this kind.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pslgs_operator import names
from pslgs_operator.fields import mapping, mappings, text
from pslgs_operator.gvk import POD_MONITORS, TRAINING_JOBS
from pslgs_operator.kube_client import KubeClient, NamespaceTerminatingError, RejectedError, RetryableError
from pslgs_operator.settings import Settings

_log = logging.getLogger(__name__)

INTERVAL_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True)
class PodMonitorCollector:
    """Deletes PodMonitors that the operator created for jobs.

    Attributes:
        holds: Returns whether this release acts in a namespace; another one may want the PodMonitors.
    """

    cluster: KubeClient
    settings: Settings
    holds: Callable[[str], Awaitable[bool]]

    async def run(self) -> None:
        """Collect until cancelled; do nothing while PodMonitors are switched on."""
        while not self.settings.pod_monitors:
            await self.collect()
            await asyncio.sleep(INTERVAL_SECONDS)

    async def collect(self) -> None:
        """Delete what there is now; a namespace that fails holds up no other."""
        for namespace in self.settings.watch_namespaces or (None,):
            try:
                for each in await self.cluster.labelled(POD_MONITORS.kind, namespace):
                    await self._collect(each)
            except (RejectedError, RetryableError, NamespaceTerminatingError) as error:
                _log.warning("PodMonitors of jobs cannot be collected: %s", error)

    async def _collect(self, body: Mapping[str, Any]) -> None:
        metadata = body["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        if _is_ours(metadata) and await self.holds(namespace):
            _log.info("delete PodMonitor %s/%s: PodMonitors are switched off", namespace, name)
            await self.cluster.delete(POD_MONITORS.kind, namespace, name, metadata["uid"])


def _is_ours(metadata: Mapping[str, Any]) -> bool:
    """Return whether the operator created a PodMonitor for a job, and the job controls it."""
    made = mapping(metadata, "labels").get(names.MANAGED_BY_LABEL) == names.FIELD_MANAGER
    return made and any(
        owner.get("controller") is True
        and text(owner, "kind") == TRAINING_JOBS.kind
        and text(owner, "apiVersion").startswith(f"{names.GROUP}/")
        for owner in mappings(metadata, "ownerReferences")
    )
