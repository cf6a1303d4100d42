"""What an error of the API server means for whoever asked: one table."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from typing import Any, Final

from pslgs_operator.fields import mapping, mappings, text
from pslgs_operator.kube_client import (
    ConflictError,
    NamespaceTerminatingError,
    RejectedError,
    RetryableError,
)

_LONGEST_MESSAGE = 1024
_LONGEST_DELAY: Final = timedelta(minutes=5)


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
_AFFECT_ALL: Final = frozenset({401, 429, 503})
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
        retry_after: How long the API server asks to wait; None if it does not say.
    """

    status: int
    reason: str
    message: str
    causes: tuple[str, ...] = ()
    kind: str = ""
    retry_after: timedelta | None = None

    @classmethod
    def parse(
        cls, status: int, answer: Mapping[str, Any], retry_after: timedelta | None = None
    ) -> "ApiError":
        """Read the API's Status object; anything else gives an error without words."""
        details = mapping(answer, "details")
        causes = tuple(text(cause, "reason") for cause in mappings(details, "causes"))
        message = str(answer.get("message") or f"HTTP status {status}")[:_LONGEST_MESSAGE]
        reason, kind = str(answer.get("reason") or ""), str(details.get("kind") or "")
        if retry_after is None:
            retry_after = _delay(str(details.get("retryAfterSeconds") or ""))
        return cls(status, reason, message, causes, kind, retry_after)

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
        """The corresponding error of `pslgs_operator.kube_client`; what is gone counts as refused."""
        match self.meaning:
            case Meaning.RETRY if self.reason == "Conflict":
                return ConflictError(self._text)
            case Meaning.RETRY:
                affects_all = self.status in _AFFECT_ALL
                return RetryableError(self._text, retry_after=self.retry_after, affects_all=affects_all)
            case Meaning.TERMINATING:
                return NamespaceTerminatingError(self.message)
            case Meaning.REJECTED | Meaning.NOT_FOUND:
                return RejectedError(self.reason or str(self.status), self.message)

    @property
    def _text(self) -> str:
        return f"{self.status} {self.reason}: {self.message}"


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """Read the header Retry-After, in seconds or as a date; None if there is none that can be read.

    A date is compared with the answer's own Date, so the two clocks need not agree. Delays are capped.
    """
    value = headers.get("Retry-After", "").strip()
    if (delay := _delay(value)) is not None:
        return delay
    until, sent = _date(value), _date(headers.get("Date", "")) or now
    return None if until is None else _capped(until - sent)


def _delay(seconds: str) -> timedelta | None:
    readable = seconds.isascii() and seconds.isdigit() and len(seconds) < 10
    return _capped(timedelta(seconds=int(seconds))) if readable else None


def _date(value: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _capped(delay: timedelta) -> timedelta:
    return min(max(delay, timedelta(0)), _LONGEST_DELAY)
