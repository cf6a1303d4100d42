"""What an error of the API server means for whoever asked: one table."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from pslgs_operator.kube_client import NamespaceTerminatingError, RejectedError, RetryableError

_LONGEST_MESSAGE = 1024


class Meaning(Enum):
    """What to do about an error."""

    NOT_FOUND = auto()
    """The object isn't there, or another one is in its place."""
    TERMINATING = auto()
    """Its namespace is going."""
    REJECTED = auto()
    """The same request will be refused again until somebody changes something."""
    RETRY = auto()
    """The same request may succeed later."""


_MEANINGS: Final[Mapping[int, Meaning]] = {
    400: Meaning.REJECTED,
    401: Meaning.RETRY,  # the token was just renewed
    403: Meaning.REJECTED,  # quota, admission, Pod Security, rights
    404: Meaning.NOT_FOUND,
    405: Meaning.REJECTED,
    409: Meaning.RETRY,  # two writers, e.g. of a quota's usage
    410: Meaning.RETRY,
    413: Meaning.REJECTED,
    415: Meaning.REJECTED,
    422: Meaning.REJECTED,
}
_BROKEN_WEBHOOK = "failed calling webhook"


@dataclass(frozen=True, slots=True)
class ApiError(Exception):
    """An answer that is no success.

    Attributes:
        status: Of HTTP.
        reason: In the API's words, e.g. AlreadyExists; empty if the answer had none.
        message: For people.
        causes: Reasons of the details, e.g. NamespaceTerminating.
        kind: What the details are about, e.g. namespaces.
    """

    status: int
    reason: str
    message: str
    causes: tuple[str, ...] = ()
    kind: str = ""

    @classmethod
    def parse(cls, status: int, answer: Mapping[str, Any]) -> "ApiError":
        """Read the API's Status object; anything else gives an error without words."""
        details = answer.get("details") or {}
        causes = tuple(str(cause.get("reason", "")) for cause in details.get("causes") or ())
        message = str(answer.get("message") or f"HTTP status {status}")[:_LONGEST_MESSAGE]
        return cls(status, str(answer.get("reason") or ""), message, causes, str(details.get("kind") or ""))

    @property
    def meaning(self) -> Meaning:
        """What to do about it."""
        if "NamespaceTerminating" in self.causes or (self.status == 404 and self.kind == "namespaces"):
            return Meaning.TERMINATING
        if self.status >= 500 and _BROKEN_WEBHOOK in self.message:
            return Meaning.REJECTED
        return _MEANINGS.get(self.status, Meaning.RETRY)

    @property
    def is_failed_test(self) -> bool:
        """Whether a JSON patch's test failed; what breaks a rule has the same status, but causes."""
        return self.status == 422 and not self.causes

    def as_trouble(self) -> Exception:
        """The error of `pslgs_operator.kube_client` that says the same; what is gone counts as refused."""
        match self.meaning:
            case Meaning.RETRY:
                return RetryableError(f"{self.status} {self.reason}: {self.message}")
            case Meaning.TERMINATING:
                return NamespaceTerminatingError(self.message)
            case Meaning.REJECTED | Meaning.NOT_FOUND:
                return RejectedError(self.reason or str(self.status), self.message)
