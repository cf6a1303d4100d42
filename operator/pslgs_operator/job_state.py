"""Transient state of a job between two reconciles; it may be lost when the operator restarts."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from pslgs_operator.assessment.transitions import EventSpec
from pslgs_operator.gvk import SUPPORTING_KINDS
from pslgs_operator.parse.supporting import supporting_reader
from pslgs_operator.snapshot import Problem, Rejection, ServerReply

_FIRST_PAUSE: Final = timedelta(seconds=15)
_LONGEST_PAUSE: Final = timedelta(minutes=5)
_FIRST_RETRY: Final = timedelta(seconds=1)
_LONGEST_RETRY: Final = timedelta(minutes=1)
_NOTICEABLE: Final = timedelta(seconds=5)
"""A temporary failure is not reported before its second time, unless the next attempt is further away."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """A write that failed so many times in a row, and is not tried again before ``until``."""

    refusal: Rejection
    times: int
    until: datetime
    is_visible: bool


class UnconfirmedStatus(NamedTuple):
    """A status whose write has not been answered, and the Events to record if it took effect."""

    document: Mapping[str, Any]
    events: tuple[EventSpec, ...]


@dataclass(slots=True)
class TransientState:
    """One job's.

    Attributes:
        uid: Of the job; another job of the same name is remembered anew.
        generation: What was refused to one is tried at once for the next.
        pod: Name of the server's pod that was asked last.
        asked: When.
        server_reply: What it answered last.
        complaints: What Kubernetes said of children that don't start, by name.
        inquired: When it was asked for that.
        podless: Name of each child Job without a pod -> since when; see `timeouts.podless_since`.
        held: Writes of children that failed, by lane.
        admitted: Digest of each supporting object as the API server returned it when it was last written.
        stale: Whether the job has to be read from the API server: the watch may not have its last state yet.
        unconfirmed: The status that was written last, if there was no answer.
        busy: How many reconciles in a row have written to children.
    """

    uid: str
    generation: int
    pod: str = ""
    asked: datetime | None = None
    server_reply: ServerReply | None = None
    complaints: Mapping[str, Problem] = field(default_factory=dict)
    inquired: datetime | None = None
    podless: Mapping[str, datetime] = field(default_factory=dict)
    held: dict[str, Backoff] = field(default_factory=dict)
    admitted: dict[tuple[str, str], str] = field(default_factory=dict)
    stale: bool = False
    unconfirmed: UnconfirmedStatus | None = None
    busy: int = 0

    def admit(self, body: Mapping[str, Any]) -> None:
        """Remember a supporting object as the API server returned it.

        Where it differs from what was rendered, a webhook changed it; writing it again would not help.
        """
        if body["kind"] in SUPPORTING_KINDS:
            read = supporting_reader(body["kind"])(body)
            self.admitted[body["kind"], body["metadata"]["name"]] = read.digest

    def see(self, generation: int) -> None:
        """Take note of the job's generation."""
        if generation != self.generation:
            self.generation = generation
            self.held.clear()

    @property
    def rejections(self) -> tuple[Rejection, ...]:
        """The failed writes to report, in an order that doesn't depend on who answered first."""
        return tuple(held.refusal for _, held in sorted(self.held.items()) if held.is_visible)

    def not_yet(self, now: datetime) -> dict[str, Rejection]:
        """What is not to be tried again yet, by lane."""
        return {lane: held.refusal for lane, held in self.held.items() if now < held.until}

    def hold(
        self, failures: Mapping[str, Rejection], now: datetime, done: Collection[str] | None = None
    ) -> None:
        """Remember what failed; the pause before the next attempt doubles each time.

        If ``done`` names the lanes that succeeded, other lanes were not tried and are remembered as before.
        """
        untried = {} if done is None else {lane: it for lane, it in self.held.items() if lane not in done}
        self.held = untried | {lane: self._again(lane, each, now) for lane, each in failures.items()}

    def next_attempt(self, now: datetime) -> timedelta | None:
        """After what time something that was refused can be tried again."""
        soonest = min((held.until for held in self.held.values()), default=None)
        return None if soonest is None else max(soonest - now, timedelta(0))

    def _again(self, lane: str, refusal: Rejection, now: datetime) -> Backoff:
        before = self.held.get(lane)
        if before is not None and now < before.until:
            return before
        times = before.times + 1 if before else 1
        first, longest = (_FIRST_PAUSE, _LONGEST_PAUSE)
        if refusal.temporary:
            first, longest = (_FIRST_RETRY, _LONGEST_RETRY)
        pause = max(min(longest, first * 2 ** min(times - 1, 16)), refusal.retry_after or timedelta(0))
        return Backoff(refusal, times, now + pause, is_visible=times > 1 or pause > _NOTICEABLE)
