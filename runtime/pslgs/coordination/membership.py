"""The clients of a job, and whether enough of them are connected to train."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from heapq import nsmallest

from pslgs.coordination.settings import Settings
from pslgs.spec.fault_tolerance import OnLostClient


@dataclass(frozen=True, slots=True)
class ClientInfo:
    """A client that has joined at least once.

    Attributes:
        samples: Training samples it holds.
        evaluation_samples: Evaluation samples it holds.
        session: The number of its open stream; None while it is lost.
        label_counts: Its training samples of each class; empty where there are no classes.
    """

    samples: int
    evaluation_samples: int = 0
    session: int | None = None
    label_counts: tuple[int, ...] = ()

    def open_session(self) -> int:
        """Return the number of the open stream.

        Raises:
            LookupError: the client is lost.
        """
        if self.session is None:
            raise LookupError("this client has no open stream")
        return self.session


class Membership:
    """The members by name; the order of names is the order of everything that is summed or concatenated.

    Who is live, and the sums, are kept up to date: a join, a loss and a step cost the same however many
    members there are.  Names and counts may be read in any thread, since
    CPython copies a set of strings without letting another thread run.

    Attributes:
        changes: Grows whenever a client joins, returns or is lost.
        live_samples: Training samples of the members with an open stream.
        pooled_samples: Training samples of all members, lost ones included.
    """

    def __init__(self, samples: Mapping[str, int] | None = None) -> None:
        self.changes = 0
        self.live_samples = 0
        self._members = {name: ClientInfo(count) for name, count in (samples or {}).items()}
        self.pooled_samples = sum(member.samples for member in self._members.values())
        self._live: set[str] = set()
        self._lost = set(self._members)
        self._in_order = False

    def __contains__(self, client: str) -> bool:
        return client in self._members

    def __len__(self) -> int:
        return len(self._members)

    @property
    def live_count(self) -> int:
        """Number of members with an open stream."""
        return len(self._live)

    @property
    def lost_count(self) -> int:
        """Number of members without an open stream."""
        return len(self._lost)

    def member(self, client: str) -> ClientInfo:
        """Return a member by name.

        Raises:
            KeyError: nobody of that name ever joined.
        """
        return self._members[client]

    def session(self, client: str) -> int | None:
        """Return the number of the client's open stream, None where there is none."""
        member = self._members.get(client)
        return member.session if member else None

    def admit(self, client: str, member: ClientInfo) -> None:
        """Add a member, or put one that returns in its old place."""
        self._in_order = self._in_order and client in self._members
        self._replace(client, member)

    def lose(self, client: str) -> None:
        """Note that a member's stream is over."""
        self._replace(client, replace(self._members[client], session=None))

    def live(self) -> dict[str, ClientInfo]:
        """Return the members with an open stream, in order of their names."""
        return {name: member for name, member in self._ordered().items() if member.session is not None}

    def live_names(self) -> tuple[str, ...]:
        """Return the names of the members with an open stream, in order."""
        return tuple(sorted(self._live))

    def lost(self) -> tuple[str, ...]:
        """Return the names of the members without an open stream, in order."""
        return tuple(sorted(self._lost))

    def some_lost(self, count: int) -> list[str]:
        """Return the first ``count`` names of the members without an open stream, in order."""
        return nsmallest(count, self._lost)

    def samples(self) -> dict[str, int]:
        """Return how many training samples each member holds, lost ones included."""
        return {name: member.samples for name, member in self._ordered().items()}

    def _replace(self, client: str, member: ClientInfo) -> None:
        before = self._members.get(client, ClientInfo(0))
        self.pooled_samples += member.samples - before.samples
        self.live_samples += _live_samples(member) - _live_samples(before)
        now, not_now = (self._lost, self._live) if member.session is None else (self._live, self._lost)
        now.add(client)
        not_now.discard(client)
        self._members[client] = member
        self.changes += 1

    def _ordered(self) -> dict[str, ClientInfo]:
        """Sort when somebody asks, not whenever one of thousands joins."""
        if not self._in_order:
            self._members = dict(sorted(self._members.items()))
            self._in_order = True
        return self._members


def _live_samples(member: ClientInfo) -> int:
    return 0 if member.session is None else member.samples


NAMES_SHOWN = 10
"""Lost clients that a message names; it gives the number of the others."""


class Lack(Enum):
    """What training needs and has not."""

    QUORUM = auto()
    SAMPLES = auto()
    LOST_CLIENTS = auto()


def lack_of(membership: Membership, settings: Settings, *, started: bool) -> Lack | None:
    """Return what training lacks; None where it lacks nothing."""
    if membership.live_count < settings.quorum:
        return Lack.QUORUM
    if not membership.live_samples:
        return Lack.SAMPLES
    if started and settings.on_lost is OnLostClient.WAIT and membership.lost_count:
        return Lack.LOST_CLIENTS
    return None


def missing_requirement(membership: Membership, settings: Settings, *, started: bool) -> str | None:
    """Say in a sentence what training lacks, which takes time for each lost client; None for nothing."""
    live = membership.live_count
    match lack_of(membership, settings, started=started):
        case Lack.QUORUM:
            return f"{live} of at least {settings.quorum} clients are connected{_lost(membership)}"
        case Lack.SAMPLES:
            return f"none of the {live} connected clients has training samples{_lost(membership)}"
        case Lack.LOST_CLIENTS:
            return f"spec.faultTolerance.onLostClient is Wait{_lost(membership)}"
        case None:
            return None


def may_start(membership: Membership, settings: Settings, since_last_join: float) -> bool:
    """Tell whether a quorum may take its first step, ``since_last_join`` seconds after a client last joined.

    It waits for the clients that are expected, but not for longer than a client may owe any other answer.
    Clients that the checkpoint knows are also given the time that their way back to the server may take:
    a resumed run equals an undisturbed one only if it begins with all of them.
    """
    if membership.live_count >= max(settings.expected_clients, len(membership)):
        return True
    known_are_missing = membership.live_count < len(membership)
    patience = settings.client_timeout
    return since_last_join > (max(patience, settings.return_seconds) if known_are_missing else patience)


def _lost(membership: Membership) -> str:
    if not membership.lost_count:
        return ""
    more = membership.lost_count - NAMES_SHOWN
    return f"; lost: {', '.join(membership.some_lost(NAMES_SHOWN))}{f' and {more} more' if more > 0 else ''}"
