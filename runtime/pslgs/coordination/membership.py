"""The clients of a job: what they hold, and which of them are connected."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from heapq import nsmallest
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAMES_SHOWN = 10
"""Clients that a message names; it gives the number of the others."""


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
    """All clients that ever joined, by name; sums and concatenations follow the order of the names.

    Members without an open stream are lost, or excluded if they may not return.  An excluded client need not
    be a member.

    The sets of live, lost and excluded clients and the sums are updated with each change, so that a join, a
    loss and a step take the same time for any number of members.  Names and counts may be read in any thread,
    since CPython copies a set of strings without letting another thread run.

    Attributes:
        changes: Number of joins, returns and losses so far.
        live_samples: Training samples of the members with an open stream.
        pooled_samples: Training samples of all members, lost ones included.
        pooled_label_counts: Training samples of each class of all members; shape (classes,), or (0,) before
            any member reported label counts.  Replaced as a whole, so that any thread may read it.
    """

    def __init__(
        self,
        samples: Mapping[str, int] | None = None,
        label_counts: Mapping[str, tuple[int, ...]] | None = None,
    ) -> None:
        """Restore the members of a checkpoint, all of them lost."""
        known = label_counts or {}
        self.changes = 0
        self.live_samples = 0
        self._members = {
            name: ClientInfo(count, label_counts=known.get(name, ()))
            for name, count in (samples or {}).items()
        }
        self.pooled_label_counts: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        for member in self._members.values():
            self._change_label_counts((), member.label_counts)
        self.pooled_samples = sum(member.samples for member in self._members.values())
        self._live: set[str] = set()
        self._lost = set(self._members)
        self._excluded: dict[str, str] = {}
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
        """Number of members without an open stream that may return."""
        return len(self._lost)

    @property
    def excluded_count(self) -> int:
        """Number of excluded clients."""
        return len(self._excluded)

    def member(self, client: str) -> ClientInfo:
        """Return a member by name.

        Raises:
            KeyError: no client of that name ever joined.
        """
        return self._members[client]

    def session(self, client: str) -> int | None:
        """Return the number of the client's open stream; None if it has none."""
        member = self._members.get(client)
        return member.session if member else None

    def admit(self, client: str, member: ClientInfo) -> None:
        """Add a member, or update one that returns."""
        self._in_order = self._in_order and client in self._members
        self._replace(client, member)

    def lose(self, client: str) -> None:
        """Record that a member's stream has ended."""
        self._replace(client, replace(self._members[client], session=None))

    def exclude(self, client: str, reason: str) -> None:
        """Exclude a client that has no open stream, for as long as this object lives."""
        self._excluded[client] = reason
        self._lost.discard(client)

    def exclusion(self, client: str) -> str | None:
        """Return why a client is excluded; None if it is not."""
        return self._excluded.get(client)

    def live(self) -> dict[str, ClientInfo]:
        """Return the members with an open stream, in order of their names."""
        return {name: member for name, member in self._ordered().items() if member.session is not None}

    def live_names(self) -> tuple[str, ...]:
        """Return the names of the members with an open stream, in order."""
        return tuple(sorted(self._live))

    def lost(self) -> tuple[str, ...]:
        """Return the names of the members without an open stream that may return, in order."""
        return tuple(sorted(self._lost))

    def excluded(self) -> tuple[str, ...]:
        """Return the names of the excluded clients, in order."""
        return tuple(sorted(self._excluded))

    def lost_in_words(self) -> str:
        """Name the lost members, the first `NAMES_SHOWN` of them; empty if none is lost."""
        return _in_words(self._lost)

    def absent_in_words(self) -> str:
        """Count and name the members without an open stream, lost or excluded; empty if there are none."""
        absent = self._lost | (self._excluded.keys() & self._members.keys())
        return f"{len(absent)} of {len(self)} clients: {_in_words(absent)}" if absent else ""

    def samples(self) -> dict[str, int]:
        """Return how many training samples each member holds, lost ones included."""
        return {name: member.samples for name, member in self._ordered().items()}

    def label_counts(self) -> dict[str, tuple[int, ...]]:
        """Return the training samples of each class of the members that reported them."""
        return {name: member.label_counts for name, member in self._ordered().items() if member.label_counts}

    def _replace(self, client: str, member: ClientInfo) -> None:
        before = self._members.get(client, ClientInfo(0))
        self.pooled_samples += member.samples - before.samples
        self.live_samples += _live_samples(member) - _live_samples(before)
        self._change_label_counts(before.label_counts, member.label_counts)
        added_to, removed_from = self._live, self._lost
        if member.session is None:
            added_to, removed_from = removed_from, added_to
        added_to.add(client)
        removed_from.discard(client)
        self._members[client] = member
        self.changes += 1

    def _change_label_counts(self, before: tuple[int, ...], after: tuple[int, ...]) -> None:
        if before != after:
            pooled = self.pooled_label_counts if self.pooled_label_counts.size else 0
            self.pooled_label_counts = pooled + np.subtract(after or 0, before or 0)

    def _ordered(self) -> dict[str, ClientInfo]:
        """Return the members in order of their names, sorted only once after any number of joins."""
        if not self._in_order:
            self._members = dict(sorted(self._members.items()))
            self._in_order = True
        return self._members


def _in_words(names: Set[str]) -> str:
    shown = ", ".join(nsmallest(NAMES_SHOWN, names))
    return f"{shown} and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else shown


def _live_samples(member: ClientInfo) -> int:
    return 0 if member.session is None else member.samples
