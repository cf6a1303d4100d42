"""The Kubernetes API as the reconciler uses it."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple, Protocol

from pslgs_operator.snapshot import ServerReport


class JobKey(NamedTuple):
    """Which job."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class RetryableError(Exception):
    """The API server cannot be reached, is overloaded or in trouble; the same request may succeed later.

    Attributes:
        retry_after: How long the API server asks to wait; None if it does not say.
        affects_all: Whether other requests would fail now as well: there was no answer, or the API server
            limits the operator's requests.
    """

    def __init__(
        self, message: str, *, retry_after: timedelta | None = None, affects_all: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.affects_all = affects_all


class ConflictError(RetryableError):
    """The object was changed or replaced since it was read; it has to be read again."""


class NotLeadingError(RetryableError):
    """This process may not write now, because another one may; that says nothing about the object."""


class RejectedError(Exception):
    """The API server doesn't want an object, and won't until somebody changes something.

    Attributes:
        reason: In the API's words (Forbidden, Invalid, NotFound …).
        message: What the API server said, for people.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


class NamespaceTerminatingError(Exception):
    """The namespace is being deleted, or is gone; nothing is made in it any more."""


class KubeClient(Protocol):
    """Reads and writes of the API; every method may raise `RetryableError`."""

    async def job(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        """Read a SplitTrainingJob; None if it is gone."""
        ...

    async def labelled(self, kind: str, namespace: str | None) -> Sequence[Mapping[str, Any]]:
        """List the metadata of objects with a job's label in a namespace, or in all of them.

        The list is empty if the API server does not know the kind.

        Raises:
            RejectedError: they may not be listed.
        """
        ...

    async def authority(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        """Read the Secret of a certificate authority, with its private key; None if there is none."""
        ...

    async def store_authority(self, secret: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Create the Secret of a certificate authority, or replace the one with its resourceVersion.

        Returns None, and changes nothing, where there is one already, or another version of it.

        Raises:
            RejectedError: it is refused.
            NamespaceTerminatingError: the namespace is being deleted.
        """
        ...

    async def create(self, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
        """Create a child of a job, and return it as the API server has it.

        Whose an existing object of that name is (`pslgs_operator.ownership`) decides: one of this job is
        returned as it is, the orphan of an earlier job of the same name is replaced, and any other is left
        alone.  Of a Secret, only the metadata are returned.

        Raises:
            RejectedError: it is refused by quota, admission or validation; or, with the reason NameTaken,
                somebody else's object has its name.
            NamespaceTerminatingError: nothing is created there any more.
        """
        ...

    async def apply(self, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
        """Bring a child of a job to this form, or create it; returns it as the API server has it.

        Fields that ``manifest`` doesn't have stay as they are (`pslgs_operator.drift`), and nothing is
        written if there is no difference.

        Raises:
            RejectedError: as in `create`.
            NamespaceTerminatingError: nothing is created there any more.
        """
        ...

    async def delete(self, kind: str, namespace: str, name: str, uid: str) -> None:
        """Delete the object with this uid and, in the background, what it owns; harmless when it is gone.

        Raises:
            RejectedError: it may not be deleted.
        """
        ...

    async def delete_child(self, kind: str, namespace: str, name: str, owner: str) -> None:
        """Delete an object that the uid ``owner`` controls; harmless when there is none, or another's.

        Raises:
            RejectedError: it may not be deleted.
        """
        ...

    async def write_status(
        self, job: Mapping[str, Any], status: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        """Replace the status of a SplitTrainingJob as it was read; returns it, or None if it is gone.

        Raises:
            ConflictError: it was changed since, or another one of the same name is in its place.
            RejectedError: the status doesn't fit the schema.
        """
        ...

    async def find(self, kind: str, name: str) -> Mapping[str, Any] | None:
        """Read an object of a kind that has no namespace; None if there is none.

        Raises:
            RejectedError: it may not be read.
        """
        ...

    async def patch_workload(self, namespace: str, name: str, patch: Mapping[str, Any]) -> Mapping[str, Any]:
        """Merge a patch into the status of the Workload with the uid and resourceVersion in it.

        Raises:
            ConflictError: it was changed, replaced or deleted since it was read.
            RejectedError: it is refused.
        """
        ...

    async def post_event(self, event: Mapping[str, Any]) -> None:
        """Create an Event; one of this name that exists already, or a terminating namespace, is no error.

        Raises:
            RejectedError: it is refused.
        """
        ...

    async def patch_event(self, namespace: str, name: str, patch: Mapping[str, Any]) -> bool:
        """Merge a patch into an Event; False if there is no such Event.

        Raises:
            RejectedError: it is refused.
        """
        ...

    async def warnings(self, namespace: str) -> Sequence[Mapping[str, Any]]:
        """List Events of the type Warning; none where they may not be read."""
        ...

    async def server_report(self, pod_ip: str) -> ServerReport | None:
        """Ask a server's `/status`; None if it doesn't answer in time."""
        ...
