"""Audits every watch once a minute."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from kubernetes.aio.client import ApiClient

from pslgs_operator.api.errors import ApiError
from pslgs_operator.api.listing import list_versions
from pslgs_operator.audit import INTERVAL, Hearing, together
from pslgs_operator.caches import Caches
from pslgs_operator.cluster import Key, UnavailableError

_log = logging.getLogger(__name__)


class DeafError(Exception):
    """The operator doesn't hear any more what happens in the cluster; it has to be started again."""


@dataclass(frozen=True, slots=True)
class Auditor:
    """Compares what the watches told with what the API server lists.

    Attributes:
        namespaces: The namespaces that are watched; None stands for all.
        concerns: Is given the jobs that are concerned by what the watches did not tell.
    """

    client: ApiClient
    caches: Caches
    hearings: tuple[Hearing, ...]
    namespaces: tuple[str | None, ...]
    concerns: Callable[[Iterable[Key]], None]
    now: Callable[[], datetime]

    async def run(self) -> None:
        """Audit until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL.total_seconds())
            for hearing in self.hearings:
                await self.audit(hearing)

    async def audit(self, hearing: Hearing) -> None:
        """Audit one watch; when the API server doesn't answer, nothing is learned."""
        resource = hearing.resource
        namespaces = self.namespaces if resource.namespaced else (None,)
        try:
            listings = [await list_versions(self.client, resource, each) for each in namespaces]
        except (ApiError, UnavailableError) as trouble:
            _log.warning("%s cannot be audited: %s", resource.plural, trouble)
            return
        for change in hearing.compare(together(listings), self.now()):
            _log.info("%s %s is gone, which its watch did not tell", resource.kind, change.key.name)
            self.concerns(self.caches.concerned(resource, change))

    def check(self) -> None:
        """Do nothing while every watch tells what it should.

        Raises:
            DeafError: one doesn't.
        """
        now = self.now()
        deaf = [hearing.resource.plural for hearing in self.hearings if hearing.is_deaf(now)]
        if deaf:
            raise DeafError(f"the watch of {', '.join(deaf)} tells nothing any more")
