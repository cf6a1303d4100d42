"""The Kubernetes API as the reconciler uses it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from pslgs_operator.snapshot import ServerReport


class JobKey(NamedTuple):
    """Which job."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class RetryableError(Exception):
    """The API server cannot be reached, is overloaded or in trouble; the same request may succeed later."""


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

    async def secret(self, namespace: str, name: str, owner: str) -> Mapping[str, bytes] | None:
        """Read a Secret's data; None if there is none, or if another uid than ``owner`` controls it."""
        ...

    async def apply(self, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
        """Make an object, or bring it to this form; returns it as the API server has it now.

        Raises:
            RejectedError: it is refused by quota, admission or validation.
            NamespaceTerminatingError: nothing is made there any more.
        """
        ...

    async def annotate(
        self, kind: str, namespace: str, name: str, annotations: Mapping[str, str]
    ) -> Mapping[str, Any] | None:
        """Set annotations of an object and leave all else; returns it as it is now, None if it is gone.

        Raises:
            RejectedError: it may not be changed.
        """
        ...

    async def delete(self, kind: str, namespace: str, name: str, uid: str | None = None) -> None:
        """Delete an object and, in the background, what it owns; harmless when it is gone.

        With a ``uid``, one of the same name that was made since stays.

        Raises:
            RejectedError: it may not be deleted.
        """
        ...

    async def write_status(self, namespace: str, name: str, uid: str, status: Mapping[str, Any]) -> None:
        """Replace the status of the SplitTrainingJob with this uid; harmless when it is gone.

        Raises:
            RetryableError: also where another one of the same name is in its place.
            RejectedError: the status doesn't fit the schema.
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
