"""What the commands for jobs on a cluster need of its API, and how it may fail."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from pslgs.spec.errors import InputError


class ClusterError(InputError):
    """Raised when the cluster refuses a request or does not answer; the message says what was asked."""


class NotFoundError(ClusterError):
    """Raised when an object does not exist."""


class CommandFailedError(RuntimeError):
    """Raised when a command in a container fails.

    Attributes:
        exit_code: Its exit code.
    """

    def __init__(self, command: Sequence[str], exit_code: int, stderr: str) -> None:
        super().__init__(f"{' '.join(command)}: {stderr.strip() or f'exit code {exit_code}'}")
        self.exit_code = exit_code


class Access(Protocol):
    """Access to one namespace of a cluster."""

    @property
    def namespace(self) -> str:
        """Name of the namespace."""
        ...

    def read(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Read an object or a list of objects.

        Raises:
            NotFoundError: there is no such object.
            ClusterError: the cluster refuses or does not answer.
        """
        ...

    def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object, and return it as it was created.

        Raises:
            ClusterError: the cluster refuses or does not answer.
        """
        ...

    def delete(self, path: str) -> None:
        """Delete an object at once, if it exists.

        Raises:
            ClusterError: the cluster refuses or does not answer.
        """
        ...

    def log(self, pod: str, container: str, *, follow: bool, tail: int | None) -> Iterator[str]:
        """Yield the lines of a container's log.

        Raises:
            ClusterError: the cluster refuses or does not answer.
        """
        ...

    def run(self, pod: str, container: str, command: Sequence[str]) -> bytes:
        """Run a command in a container, and return what it writes on stdout.

        Raises:
            CommandFailedError: it ends with another exit code than 0.
            ClusterError: the cluster refuses, or the connection breaks.
        """
        ...

    def page(self, pod: str, port: int, path: str) -> bytes | None:
        """Return an HTTP page of a pod, through a forwarded port; None if it does not answer with one.

        Raises:
            ClusterError: the cluster refuses.
        """
        ...


def pods_path(namespace: str, name: str = "") -> str:
    """Return the path of a namespace's pods, or of one of them."""
    return "/".join(filter(None, (f"/api/v1/namespaces/{namespace}/pods", name)))
