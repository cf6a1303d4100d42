"""Who belongs to the job, and who is there."""

from dataclasses import dataclass


@dataclass(slots=True)
class Member:
    """A client that has joined at least once.

    Attributes:
        samples: Training samples it holds.
        evaluation_samples: Evaluation samples it holds.
        session: The number of its open stream; None while it is lost.
    """

    samples: int
    evaluation_samples: int = 0
    session: int | None = None

    def open_session(self) -> int:
        """Return the number of the open stream.

        Raises:
            LookupError: the client is lost.
        """
        if self.session is None:
            raise LookupError("this client has no open stream")
        return self.session


class Roster:
    """The members by name; the order of names is the order of everything that is summed or concatenated."""

    def __init__(self, samples: dict[str, int] | None = None) -> None:
        self._members = {name: Member(count) for name, count in sorted((samples or {}).items())}

    def __contains__(self, client: str) -> bool:
        return client in self._members

    def __len__(self) -> int:
        return len(self._members)

    def member(self, client: str) -> Member:
        """Return a member by name.

        Raises:
            KeyError: nobody of that name ever joined.
        """
        return self._members[client]

    def session(self, client: str) -> int | None:
        """Return the number of the client's open stream, None where there is none."""
        member = self._members.get(client)
        return member.session if member else None

    def admit(self, client: str, member: Member) -> None:
        """Add a member, or put one that returns in its old place."""
        known = client in self._members
        self._members[client] = member
        if not known:
            self._members = dict(sorted(self._members.items()))

    def live(self) -> dict[str, Member]:
        """Return the members with an open stream, in order of their names."""
        return {name: member for name, member in self._members.items() if member.session is not None}

    def lost(self) -> tuple[str, ...]:
        """Return the names of the members without an open stream."""
        return tuple(name for name, member in self._members.items() if member.session is None)

    def samples(self) -> dict[str, int]:
        """Return how many training samples each member holds, lost ones included."""
        return {name: member.samples for name, member in self._members.items()}
