"""A client whose writes pass a gate."""

import asyncio
import re
from collections.abc import Callable
from typing import Any, Final

from kubernetes.aio.client import Configuration
from typing_extensions import override

from pslgs_operator.api.observed import ObservedApiClient
from pslgs_operator.kube_client import NotLeadingError

Gate = Callable[[str | None], str | None]
"""Given the namespace that is written to, returns why this process may not; None if it may."""

IN_FLIGHT: Final = 24
"""Requests at a time. An API server that is busy answers later the more requests wait for it, and renewals of
the Lease, which are not counted here, would wait behind hundreds of writes until the Lease is lost."""
_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_NAMESPACE: Final = re.compile(r"/namespaces/([^/?]+)")


class GatedClient(ObservedApiClient):
    """Limits the requests at a time, and asks the gate right before each that changes something.

    So a process that was paused, or whose requests waited, cannot write once another one may.
    """

    def __init__(self, configuration: Configuration, gate: Gate) -> None:
        super().__init__(configuration)
        self._gate = gate
        self._slots = asyncio.Semaphore(IN_FLIGHT)

    @override
    async def call_api(self, method: str, url: str, *arguments: Any, **options: Any) -> Any:
        """Send a request.

        Raises:
            NotLeadingError: it would change something, and the gate is shut.
        """
        async with self._slots:
            if method not in _READS:
                found = _NAMESPACE.search(url)
                reason = self._gate(found[1] if found else None)
                if reason is not None:
                    raise NotLeadingError(f"not sent: {method} {url}: {reason}")
            return await super().call_api(method, url, *arguments, **options)
