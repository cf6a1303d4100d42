"""Transient state of a job between two reconciles; it may be lost when the operator restarts."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from pslgs_operator.assessment.transitions import EventSpec
from pslgs_operator.gvk import SUPPORTING_KINDS
from pslgs_operator.parse.supporting import supporting_reader
from pslgs_operator.snapshot import Problem, Rejection, ServerReply
from pslgs_operator.workload import Flavor

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


class PrunedStatus(NamedTuple):
    """A status of which the API server dropped fields, because its CustomResourceDefinition is older."""

    document: Mapping[str, Any]
    stored: Mapping[str, Any]


@dataclass(slots=True)
class TransientState:
    """Transient state of one job.

    Attributes:
        uid: The uid of the job; another job of the same name has a state of its own.
        generation: Generation that was reconciled last; for a new one, failed writes are tried at once.
        pod: Name of the server's pod that was polled last.
        polled: Time of the last poll.
        asked_since: Time of the first poll of this pod.
        server_reply: Answer to it.
        warnings: Why children do not start, according to Events, by name.
        warnings_read: Time at which these Events were read.
        without_pod: Name of each child Job without a pod -> since when; see `timeouts.without_pod_since`.
        backoffs: Writes of children that failed, by child.
        admitted: Digest of each supporting object as the API server returned it when it was last written.
        stale: Whether the job has to be read from the API server: the watch may not have its last state yet.
        unconfirmed: The status that was written last, if there was no answer.
        pruned: The status that was written last, if it was not stored as a whole.
        admission: Uid of the Workload and time of the admission whose flavors are known.
        flavors: ResourceFlavors of that admission, by name.
        busy: How many reconciles in a row have written to children.
    """

    uid: str
    generation: int
    pod: str = ""
    polled: datetime | None = None
    asked_since: datetime | None = None
    server_reply: ServerReply | None = None
    warnings: Mapping[str, Problem] = field(default_factory=dict)
    warnings_read: datetime | None = None
    without_pod: Mapping[str, datetime] = field(default_factory=dict)
    backoffs: dict[str, Backoff] = field(default_factory=dict)
    admitted: dict[tuple[str, str], str] = field(default_factory=dict)
    stale: bool = False
    unconfirmed: UnconfirmedStatus | None = None
    pruned: PrunedStatus | None = None
    admission: tuple[str, str] | None = None
    flavors: Mapping[str, Flavor] = field(default_factory=dict)
    busy: int = 0

    def admit(self, body: Mapping[str, Any]) -> None:
        """Remember a supporting object as the API server returned it.

        Where it differs from what was rendered, a webhook changed it; writing it again would not help.
        """
        if body["kind"] in SUPPORTING_KINDS:
            read = supporting_reader(body["kind"])(body)
            self.admitted[body["kind"], body["metadata"]["name"]] = read.digest

    def as_written(self, stored: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a stored status with the fields that the API server dropped when it was written last."""
        pruned = self.pruned
        return pruned.document if pruned is not None and pruned.stored == stored else stored

    def observe_generation(self, generation: int) -> None:
        """Forget the failed writes if the generation is a new one."""
        if generation != self.generation:
            self.generation = generation
            self.backoffs.clear()

    @property
    def rejections(self) -> tuple[Rejection, ...]:
        """The failed writes to report, ordered by child."""
        return tuple(held.refusal for _, held in sorted(self.backoffs.items()) if held.is_visible)

    def backed_off(self, now: datetime) -> dict[str, Rejection]:
        """Return the failed writes that are not tried again yet, by child."""
        return {child: held.refusal for child, held in self.backoffs.items() if now < held.until}

    def record_failures(
        self, failures: Mapping[str, Rejection], now: datetime, done: Collection[str] | None = None
    ) -> None:
        """Record the writes that failed; the pause before the next attempt doubles each time.

        If ``done`` names the children whose writes succeeded, others were not tried and keep their pause.
        """
        untried = (
            {} if done is None else {child: it for child, it in self.backoffs.items() if child not in done}
        )
        self.backoffs = untried | {child: self._again(child, each, now) for child, each in failures.items()}

    def retry_times(self, now: datetime) -> Iterator[datetime]:
        """Yield when writes that failed can be tried again; what could have been tried is tried soon."""
        for held in self.backoffs.values():
            yield held.until if held.until > now else now + _FIRST_RETRY

    def _again(self, child: str, refusal: Rejection, now: datetime) -> Backoff:
        before = self.backoffs.get(child)
        if before is not None and now < before.until:
            return before
        times = before.times + 1 if before else 1
        first, longest = (_FIRST_PAUSE, _LONGEST_PAUSE)
        if refusal.temporary:
            first, longest = (_FIRST_RETRY, _LONGEST_RETRY)
        pause = max(min(longest, first * 2 ** min(times - 1, 16)), refusal.retry_after or timedelta(0))
        return Backoff(refusal, times, now + pause, is_visible=times > 1 or pause > _NOTICEABLE)
