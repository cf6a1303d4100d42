"""Issue a job's certificates; the private key of its authority is held no longer than that takes."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from pslgs_operator import names
from pslgs_operator.actions import IssueClient, IssueServer
from pslgs_operator.certificate_authority import Authority, advanced, authority_secret, read_authority
from pslgs_operator.certificates import certificate_secret
from pslgs_operator.kube_client import (
    KubeClient,
    NamespaceTerminatingError,
    RejectedError,
    RetryableError,
)
from pslgs_operator.settings import Settings
from pslgs_operator.training_job import TrainingJob

_log = logging.getLogger(__name__)

_ATTEMPTS: Final = 3
"""How often the authority is read that another operator changes at the same time."""


@dataclass(slots=True)
class CertificateIssuer:
    """Issues certificates of one job during one reconcile.

    Attributes:
        on_applied: Is given every Secret as the API server has it after a write.
    """

    job: TrainingJob
    cluster: KubeClient
    settings: Settings
    now: datetime
    on_applied: Callable[[Mapping[str, Any]], None]
    _authority: Authority | None = None  # read once; a thousand certificates may need it
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def issue(self, action: IssueServer | IssueClient) -> None:
        """Issue a certificate, after creating or renewing the authority where that is due.

        Raises:
            InputError: a certificate cannot be issued for these names.
            RejectedError: the API server refuses a Secret.
            RetryableError: it doesn't answer, or another operator changes the authority.
            NamespaceTerminatingError: the namespace is being deleted.
        """
        async with self._lock:
            if self._authority is None:
                self._authority = await self._current_authority()
        secret = certificate_secret(self.job, self._authority, action, self.settings, self.now)
        self.on_applied(await self.cluster.apply(secret))

    async def _current_authority(self) -> Authority:
        """Read the authority; create or renew it where due, unless another operator was faster."""
        namespace, name = self.settings.namespace, names.authority_name(self.job.uid)
        for _ in range(_ATTEMPTS):
            secret = await self.cluster.authority(namespace, name)
            stored = read_authority(secret, self.now)
            wanted = advanced(stored, self.job, self.now)
            if secret is not None and wanted is stored:
                self.on_applied(secret)
                return wanted
            version = secret["metadata"]["resourceVersion"] if secret else None
            written = await self._store(authority_secret(wanted, self.job, namespace, version))
            if written is not None:
                _log.info(
                    "%s/%s: stored its certificate authority as %s", self.job.namespace, self.job.name, name
                )
                self.on_applied(written)
                return wanted
        raise RetryableError(f"the Secret {namespace}/{name} is being changed by another operator")

    async def _store(self, secret: Mapping[str, Any]) -> Mapping[str, Any] | None:
        try:
            return await self.cluster.store_authority(secret)
        except NamespaceTerminatingError as error:  # not the job's
            raise RejectedError(
                "NotFound",
                f"the operator's namespace {self.settings.namespace}, which holds certificate authorities, "
                f"is missing or terminating: {error}",
            ) from error
