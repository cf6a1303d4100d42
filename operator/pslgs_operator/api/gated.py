"""A client whose writes pass a gate."""

import re
from collections.abc import Callable
from typing import Any, Final

from kubernetes.aio.client import Configuration
from typing_extensions import override

from pslgs_operator.api.observed import ObservedApiClient
from pslgs_operator.kube_client import RetryableError

Gate = Callable[[str | None], str | None]
"""Given the namespace that is written to, returns why this process may not; None if it may."""

_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_NAMESPACE: Final = re.compile(r"/namespaces/([^/?]+)")


class NotLeadingError(RetryableError):
    """This process may not write now, because another one may."""


class GatedClient(ObservedApiClient):
    """Asks the gate right before each request that changes something, so a process that was paused cannot."""

    def __init__(self, configuration: Configuration, gate: Gate) -> None:
        super().__init__(configuration)
        self._gate = gate

    @override
    async def call_api(self, method: str, url: str, *arguments: Any, **options: Any) -> Any:
        """Send a request.

        Raises:
            NotLeadingError: it would change something, and the gate is shut.
        """
        if method not in _READS:
            found = _NAMESPACE.search(url)
            reason = self._gate(found[1] if found else None)
            if reason is not None:
                raise NotLeadingError(f"not sent: {method} {url}: {reason}")
        return await super().call_api(method, url, *arguments, **options)
