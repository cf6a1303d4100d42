"""Read Events of the type Warning."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from pslgs_operator.fields import mapping, moment, text
from pslgs_operator.snapshot import Problem
from pslgs_operator.text import plain

_REASONS: Final = frozenset(
    {"FailedAttachVolume", "FailedCreate", "FailedCreatePodSandBox", "FailedMapVolume", "FailedMount"}
)
_PASSING: Final = (
    "failed to sync",
    "no relationship found between node",
    " not registered",
    "object has been modified",
    "because it is being terminated",
)
"""Messages about a part of Kubernetes that is not up to date yet, or a namespace that is being deleted."""
_SUMMARY: Final = ("Unable to attach or mount volumes",)
"""Says less than the others, by turns with them."""
_LATELY: Final = timedelta(minutes=5)
_LONGEST: Final = 600

_RANDOM: Final = ((r'pods "[^"]*"', "its pod"), (r'"?\b[0-9a-f]{32,}\b"?', "…"))
"""Names that differ with each attempt."""


class _Warning(NamedTuple):
    says_little: bool
    message: str
    reason: str


def read_pod_warnings(events: Iterable[Mapping[str, Any]]) -> Mapping[str, Problem]:
    """Read warnings of pods and Jobs: name -> why it does not start, in the same words for as long."""
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for event in events:
        if text(event, "reason") in _REASONS and not any(each in text(event, "message") for each in _PASSING):
            by_name.setdefault(text(mapping(event, "involvedObject"), "name"), []).append(event)
    return {name: _chosen(warnings) for name, warnings in by_name.items()}


def _chosen(events: list[Mapping[str, Any]]) -> Problem:
    chosen = min(_lately(events))
    return Problem(chosen.reason, chosen.message)


def _lately(events: list[Mapping[str, Any]]) -> Iterator[_Warning]:
    """Leave out what was said long before the last: it may be mended."""
    times = [_time(event) for event in events]
    newest = max((time for time in times if time), default=None)
    for event, time in zip(events, times, strict=True):
        if newest is None or time is None or newest - time <= _LATELY:
            message = text(event, "message")
            yield _Warning(message.startswith(_SUMMARY), _steady(message), text(event, "reason"))


def _time(event: Mapping[str, Any]) -> datetime | None:
    return moment(event, "lastTimestamp") or moment(event, "eventTime")


def _steady(message: str) -> str:
    for pattern, instead in _RANDOM:
        message = re.sub(pattern, instead, message)
    return plain(message.removeprefix("Error creating: "), _LONGEST)
