"""Containers of a pod: ours, and those that the user's template adds before and beside it."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from pslgs_operator.fields import mapping, mappings, moment, text, whole
from pslgs_operator.names import CLIENT, SERVER
from pslgs_operator.parse.server_status import read_last_words
from pslgs_operator.snapshot import Problem, TerminationMessage
from pslgs_operator.text import plain

_STARTING: Final = {"", "ContainerCreating", "PodInitializing"}
_PULL_REASONS: Final = {"ErrImagePull", "ImagePullBackOff"}
"""Two reasons that the kubelet reports by turns."""
_LONGEST_MESSAGE = 600


class Ended(NamedTuple):
    """How a container, or its pod, ended; the exit code is that of our container only."""

    exit_code: int | None
    reason: str
    termination_message: TerminationMessage
    time: datetime | None = None


def start_of(status: Mapping[str, Any]) -> datetime | None:
    """Return when our container began to run, if it runs."""
    return moment(mapping(_ours(status), "state", "running"), "startedAt")


def waiting(status: Mapping[str, Any]) -> Problem | None:
    """Return what keeps the first of its containers from running, other than that it is being made."""
    found = ((each, mapping(each, "state", "waiting")) for each in _all(status))
    return next(
        (_trouble(each, state) for each, state in found if text(state, "reason") not in _STARTING), None
    )


def main_end(status: Mapping[str, Any]) -> Ended | None:
    """Return how our container ended, or the one before it that failed and kept it from running."""
    own = mapping(_ours(status), "state", "terminated")
    if own:
        code = whole(own, "exitCode")
        words = read_last_words(text(own, "message"), code)
        return Ended(code, plain(text(own, "reason")), words, moment(own, "finishedAt"))
    if text(status, "phase") != "Failed":
        return None
    for container in mappings(status, "initContainerStatuses"):
        end = mapping(container, "state", "terminated")
        if whole(end, "exitCode"):
            return Ended(None, plain(text(end, "reason")), TerminationMessage(None, _failure(container, end)))
    return None


def running_on(status: Mapping[str, Any]) -> tuple[str, ...]:
    """Name the other containers that still run when ours has ended."""
    if not mapping(_ours(status), "state", "terminated"):
        return ()
    running = (each for each in _all(status) if mapping(each, "state", "running"))
    return tuple(plain(text(each, "name")) for each in running)


def _all(status: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from mappings(status, "initContainerStatuses")
    yield from mappings(status, "containerStatuses")


def _ours(status: Mapping[str, Any]) -> Mapping[str, Any]:
    found = (each for each in mappings(status, "containerStatuses") if text(each, "name") in {SERVER, CLIENT})
    return next(found, {})


def _trouble(container: Mapping[str, Any], state: Mapping[str, Any]) -> Problem:
    """Return why a container waits, in the same words for as long as it waits for the same reason."""
    reason, message = plain(text(state, "reason")), text(state, "message")
    if reason in _PULL_REASONS:
        cause = message.partition("ErrImagePull: ")[2] or message
        return Problem("ImagePullBackOff", plain(cause, _LONGEST_MESSAGE))
    if reason == "CrashLoopBackOff":  # whose message counts the seconds
        return Problem(reason, _failure(container, mapping(container, "lastState", "terminated")))
    return Problem(reason, plain(message, _LONGEST_MESSAGE))


def _failure(container: Mapping[str, Any], end: Mapping[str, Any]) -> str:
    code, reason = whole(end, "exitCode"), plain(text(end, "reason"))
    how = f"exit code {code}" if code is not None and reason in {"", "Error"} else reason or "an error"
    words = read_last_words(text(end, "message"), code).message
    return f"container {plain(text(container, 'name'))} failed with {how}" + (f": {words}" if words else "")
