"""Carries out one action at a time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, assert_never

from pslgs_operator import names
from pslgs_operator.actions import Action, Annotate, Apply, Delete, DeleteJob, IssueClient, IssueServer
from pslgs_operator.authority import issue_client, issue_server
from pslgs_operator.cluster import Cluster
from pslgs_operator.job import Job
from pslgs_operator.resources import TRAINING_JOBS


@dataclass(slots=True)
class Actor:
    """Carries out actions of one look at one job.

    Attributes:
        told: Is given every object as the API server has it after a write.
    """

    job: Job
    cluster: Cluster
    now: datetime
    told: Callable[[Mapping[str, Any]], None]
    _authority: Mapping[str, bytes] | None = None  # read once; a thousand certificates may need it

    async def carry_out(self, action: Action) -> None:
        """Do it.

        Raises:
            RefusedError: the cluster doesn't want it.
            InputError: a certificate cannot be issued.
            UnavailableError: the API server doesn't answer.
            NamespaceEndingError: the namespace is going.
        """
        match action:
            case Apply(manifest):
                self.told(await self.cluster.apply(manifest))
            case IssueServer():
                await self._issue_server(action)
            case IssueClient():
                authority = await self._read_authority()
                await self.cluster.apply(issue_client(self.job, authority, action, self.now))
            case Annotate(kind, name, annotations):
                changed = await self.cluster.annotate(kind, self.job.namespace, name, annotations)
                if changed is not None:
                    self.told(changed)
            case Delete(kind, name):
                await self.cluster.delete(kind, self.job.namespace, name)
            case DeleteJob():
                await self.cluster.delete(
                    TRAINING_JOBS.kind, self.job.namespace, self.job.name, uid=self.job.uid
                )
            case _:
                assert_never(action)

    async def _issue_server(self, action: IssueServer) -> None:
        authority = await self._read_authority()
        for secret in issue_server(self.job, authority, action, self.now):
            await self.cluster.apply(secret)
        self._authority = None  # it may be a new one

    async def _read_authority(self) -> Mapping[str, bytes] | None:
        if self._authority is None:
            name = names.authority_name(self.job.name)
            self._authority = await self.cluster.secret(self.job.namespace, name, self.job.uid)
        return self._authority
