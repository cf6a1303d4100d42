"""What can be done about a job; `plan` decides on them, `perform` carries them out, in order."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Create:
    """Create a child that is not there; one that is there after all stays as it is."""

    manifest: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Apply:
    """Create a child, or bring it to this form; fields that the manifest does not have stay."""

    manifest: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class IssueServer:
    """Issue the server's certificate for these hosts as a Secret."""

    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IssueClient:
    """Issue a client's certificate as a Secret."""

    client: str


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a child and what it owns; that it is gone already is as good.

    Attributes:
        uid: Of the object to delete; another one of the same name stays.  None if that is not known: then
            what the job controls is deleted.
        why: The reason, for the log.
    """

    kind: str
    name: str
    uid: str | None = None
    why: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class PatchWorkload:
    """Merge a patch into the status of the job's Workload, if it is still as it was read.

    Attributes:
        why: The reason, for the log.
    """

    name: str
    patch: Mapping[str, Any]
    why: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class DeleteTrainingJob:
    """Delete the job itself, whose time to live is over."""


Action = Create | Apply | IssueServer | IssueClient | Delete | PatchWorkload | DeleteTrainingJob
