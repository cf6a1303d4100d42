"""Decisions about a Lease of coordination.k8s.io: when to take or renew it, how long its holder may write.

Times are seconds of a clock of this process that never goes back. Clocks of different processes are never
compared: a candidate takes a Lease of another holder only after it has itself seen no renewal for the Lease's
whole duration, and a holder stops writing some seconds earlier, counted from before it sent its last renewal.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, auto
from typing import Any, Final

from pslgs_operator.fields import mapping, text, whole


@dataclass(frozen=True, slots=True)
class LeaseTiming:
    """How a Lease is held; all in seconds.

    Attributes:
        duration: How long other candidates wait after the last renewal that they saw.
        renew_deadline: How long the holder may write after its last renewal; shorter than ``duration``.
        renew_period: Time between two renewals.
    """

    duration: float
    renew_deadline: float
    renew_period: float


REPLICA: Final = LeaseTiming(duration=12, renew_deadline=8, renew_period=2)
"""Of the Lease that one of the replicas holds."""
NAMESPACE: Final = LeaseTiming(duration=300, renew_deadline=240, renew_period=100)
"""Of the Lease in each namespace with jobs; there may be hundreds, so they are rarely renewed."""


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """A Lease as it was read.

    Attributes:
        holder: Empty if nobody holds it.
        version: Its resourceVersion.
        duration: What its holder wrote; other candidates wait as long.
        body: The whole object.
    """

    holder: str
    version: str
    duration: float
    body: Mapping[str, Any]

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> "LeaseRecord":
        """Read a Lease of the API; fields that are missing count as empty."""
        spec = mapping(body, "spec")
        return cls(
            holder=text(spec, "holderIdentity"),
            version=body["metadata"]["resourceVersion"],
            duration=float(whole(spec, "leaseDurationSeconds") or 0),
            body=body,
        )


class LeaseStep(Enum):
    """What a candidate does with a Lease."""

    CREATE = auto()
    TAKE = auto()
    RENEW = auto()
    WAIT = auto()


@dataclass(frozen=True, slots=True)
class Candidate:
    """What one candidate knows of a Lease.

    Attributes:
        identity: What it writes as the holder; no other candidate has the same.
        record: The Lease as it was last seen; None if there was none.
        seen: When that version of it was first seen.
        valid_until: The holder may write before this time.
    """

    identity: str
    timing: LeaseTiming
    record: LeaseRecord | None = None
    seen: float = float("-inf")
    valid_until: float = float("-inf")

    def may_write(self, now: float) -> bool:
        """Return whether this candidate is the only one that may write."""
        return now < self.valid_until

    def observed(self, record: LeaseRecord | None, now: float) -> "Candidate":
        """Learn what the API server has; whoever reads another holder, or no Lease, stops writing at once."""
        is_known = record is not None and self.record is not None and record.version == self.record.version
        is_own = record is not None and record.holder == self.identity
        return replace(
            self,
            record=record,
            seen=self.seen if is_known else now,
            valid_until=self.valid_until if is_own else float("-inf"),
        )

    def step(self, now: float) -> LeaseStep:
        """Decide what to do after a read."""
        if self.record is None:
            return LeaseStep.CREATE
        if self.record.holder == self.identity:
            return LeaseStep.RENEW
        if not self.record.holder or now - self.seen >= self.record.duration:
            return LeaseStep.TAKE
        return LeaseStep.WAIT

    def confirmed(self, record: LeaseRecord, sent: float) -> "Candidate":
        """Learn that the API server accepted a write of this candidate that was sent at ``sent``."""
        return replace(self, record=record, seen=sent, valid_until=sent + self.timing.renew_deadline)

    def manifest(self, namespace: str, name: str, at: datetime) -> dict[str, Any]:
        """Render the Lease for the next step; ``at`` is for people, nobody decides by it.

        It has the resourceVersion that was read, so the API server refuses it if somebody was faster.
        """
        moment = _micro_time(at)
        old: Mapping[str, Any] = self.record.body if self.record is not None else {}
        spec = dict(mapping(old, "spec"))
        if self.record is None or self.record.holder != self.identity:
            transitions = (whole(spec, "leaseTransitions") or 0) + (self.record is not None)
            spec |= {"acquireTime": moment, "leaseTransitions": transitions}
        spec |= {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": int(self.timing.duration),
            "renewTime": moment,
        }
        metadata = old.get("metadata") or {"namespace": namespace, "name": name}
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": spec,
        }

    def released(self) -> dict[str, Any] | None:
        """Render the Lease without a holder, for the others to take it at once; None if it is not held."""
        if self.record is None or self.record.holder != self.identity:
            return None
        body = self.record.body
        return {**body, "spec": {**mapping(body, "spec"), "holderIdentity": ""}}


def _micro_time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
