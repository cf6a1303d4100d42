"""What an error of the API server means for whoever asked: one table."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from pslgs_operator.cluster import NamespaceEndingError, RefusedError, UnavailableError

_LONGEST_MESSAGE = 1024


class Meaning(Enum):
    """What to do about an error."""

    GONE = auto()
    """The object isn't there, or another one is in its place."""
    ENDING = auto()
    """Its namespace is going."""
    REFUSED = auto()
    """The same request will be refused again until somebody changes something."""
    LATER = auto()
    """The same request may succeed later."""


_MEANINGS: Final[Mapping[int, Meaning]] = {
    400: Meaning.REFUSED,
    401: Meaning.LATER,  # the token was just renewed
    403: Meaning.REFUSED,  # quota, admission, Pod Security, rights
    404: Meaning.GONE,
    405: Meaning.REFUSED,
    409: Meaning.LATER,  # two writers, e.g. of a quota's usage
    410: Meaning.LATER,
    413: Meaning.REFUSED,
    415: Meaning.REFUSED,
    422: Meaning.REFUSED,
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
            return Meaning.ENDING
        if self.status >= 500 and _BROKEN_WEBHOOK in self.message:
            return Meaning.REFUSED
        return _MEANINGS.get(self.status, Meaning.LATER)

    @property
    def is_failed_test(self) -> bool:
        """Whether a JSON patch's test failed; what breaks a rule has the same status, but causes."""
        return self.status == 422 and not self.causes

    def as_trouble(self) -> Exception:
        """The error of `pslgs_operator.cluster` that says the same; what is gone counts as refused."""
        match self.meaning:
            case Meaning.LATER:
                return UnavailableError(f"{self.status} {self.reason}: {self.message}")
            case Meaning.ENDING:
                return NamespaceEndingError(self.message)
            case Meaning.REFUSED | Meaning.GONE:
                return RefusedError(self.reason or str(self.status), self.message)
