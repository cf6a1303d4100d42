"""Delete certificate authorities of jobs that are gone, or do not use TLS any more.

They lie in the operator's namespace, where no owner reference can point to a job of another namespace.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from pslgs.spec import Tls
from pslgs_operator import names
from pslgs_operator.fields import mapping
from pslgs_operator.gvk import SECRETS
from pslgs_operator.kube_client import (
    JobKey,
    KubeClient,
    NamespaceTerminatingError,
    RejectedError,
    RetryableError,
)
from pslgs_operator.settings import Settings
from pslgs_operator.snapshot import CertificateSecret
from pslgs_operator.store import Entry, ObjectKey, Stores

_log = logging.getLogger(__name__)

INTERVAL: Final = timedelta(seconds=60)
"""Time between two collections."""


@dataclass(frozen=True, slots=True)
class AuthorityCollector:
    """Deletes authorities whose job is gone, also if that happened while no operator ran."""

    cluster: KubeClient
    stores: Stores
    settings: Settings

    async def run(self) -> None:
        """Collect until cancelled."""
        while True:
            await self.collect()
            await asyncio.sleep(INTERVAL.total_seconds())

    async def collect(self) -> None:
        """Delete what is unused now; an authority that fails holds up no other."""
        for key, entry in tuple(self.stores.authorities.all().items()):
            try:
                await self._collect(key, entry)
            except (RejectedError, RetryableError, NamespaceTerminatingError) as error:
                _log.warning("Secret %s/%s cannot be collected: %s", *key, error)

    async def _collect(self, key: ObjectKey, entry: Entry[CertificateSecret]) -> None:
        if entry.job is None or not self._is_watched(entry.job):
            return  # of another operator in this namespace
        listed = self.stores.training_jobs.all().get(ObjectKey(*entry.job))
        if listed is not None and _uses(key.name, listed.value.body):
            return
        job = await self.cluster.job(*entry.job)  # the watch may be late
        if job is not None and _uses(key.name, job):
            return
        _log.info("delete Secret %s/%s: its SplitTrainingJob %s is gone or has no TLS", *key, entry.job)
        await self.cluster.delete(SECRETS.kind, key.namespace, key.name, entry.uid)
        self.stores.authorities.drop(key, entry.uid)

    def _is_watched(self, job: JobKey) -> bool:
        return not self.settings.watch_namespaces or job.namespace in self.settings.watch_namespaces


def _uses(authority: str, job: Mapping[str, Any]) -> bool:
    """Return whether a job uses an authority; one that trains keeps the certificates that it began with."""
    if authority != names.authority_name(job["metadata"]["uid"]):
        return False
    has_tls = mapping(job, "spec", "transport").get("tls", Tls.MUTUAL) != Tls.DISABLED
    return has_tls or "trainingStartTime" in mapping(job, "status")
