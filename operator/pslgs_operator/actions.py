"""What can be done about a job; `plan` decides on them, `perform` carries them out, in order."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Apply:
    """Make an object, or bring it to this form (server-side apply)."""

    manifest: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class IssueServer:
    """Issue the server's certificate for these hosts as a Secret, with the authority if there is none."""

    hosts: tuple[str, ...]
    expires: datetime


@dataclass(frozen=True, slots=True)
class IssueClient:
    """Issue a client's certificate as a Secret."""

    client: str
    expires: datetime


@dataclass(frozen=True, slots=True)
class Annotate:
    """Set annotations of a child that exists (a merge patch, so that its other fields stay as they are)."""

    kind: str
    name: str
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a child and what it owns; that it is gone already is as good."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class DeleteTrainingJob:
    """Delete the job itself, whose time to live is over."""


Action = Apply | IssueServer | IssueClient | Annotate | Delete | DeleteTrainingJob
