"""Counts and logs faults of clients: every fault is counted, and each client is logged once a minute."""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from pslgs.coordination.messages import ExchangeId
from pslgs.coordination.replies import UnexpectedReply
from pslgs.telemetry.client_view import ClientFault
from pslgs.transport.errors import ProtocolViolation
from pslgs.transport.peer_text import one_line

WINDOW_SECONDS = 60.0
IGNORED_LIMIT = 2000
"""Late frames in a window after which a client's stream is ended.

An honest client sends only what is queued when its request is cancelled: some tens of frames of 1 MiB.
"""

CLIENTS_LIMIT = 1000
"""Clients that are logged by name within a window; further ones are logged together."""

PROMPT_REFUSALS = 3
"""Refusals in a window after which further ones are held back."""

REFUSAL_DELAY_SECONDS = 1.0
"""Time for which a refusal is held back.

The streams of a connection are limited, so a client that comes again and again gets and costs only a few
refusals a second on each of its connections.
"""

SHOWN = 20
"""Clients whose faults the status shows."""

_OTHERS = "(others)"
_logger = logging.getLogger(__name__)


class FaultCounters(Protocol):
    """The metrics that count faults of clients."""

    def count_refused_client(self, reason: str) -> None:
        """Count a client that was refused."""

    def count_ignored_answer(self, reason: str) -> None:
        """Count an unexpected frame."""


@dataclass(slots=True)
class _Window:
    """Faults of one client since ``opened``."""

    opened: float
    refused: Counter[str] = field(default_factory=Counter)
    ignored: Counter[str] = field(default_factory=Counter)

    def unlogged(self) -> str:
        """Describe the faults after the first of each kind, which was logged at once; maybe empty."""
        return "; ".join(
            f"{what} {count.total() - 1} more times ({_by_reason(count)} in all)"
            for what, count in (("refused", self.refused), ("ignored", self.ignored))
            if count.total() > 1
        )


class ClientFaults:
    """Counts and logs refused clients and ignored answers."""

    def __init__(self, counters: FaultCounters, clock: Callable[[], float]) -> None:
        self._counters = counters
        self._clock = clock
        self._windows: dict[str, _Window] = {}
        self._latest: dict[str, ClientFault] = {}

    def latest(self) -> list[ClientFault]:
        """Return the faults of the clients that had one last, the newest first; in any thread."""
        return list(self._latest.values())[::-1]

    def note(self, client: str, reason: str, problem: str) -> None:
        """Note a fault for the status, which something else counts and logs."""
        before = self._latest.pop(client, None)
        times = before.times + 1 if before else 1
        self._latest[client] = ClientFault(one_line(client), reason, one_line(problem), times)
        if len(self._latest) > SHOWN:
            del self._latest[next(iter(self._latest))]

    def refused(self, client: str, reason: str, problem: str) -> None:
        """Record that a client was refused.

        Args:
            client: Its id, or its host if its id is not authenticated.
            reason: One word, a label of the metric.
            problem: The message that it got.
        """
        self._counters.count_refused_client(reason)
        self.note(client, reason, problem)
        window = self._window(client)
        if not window.refused:
            _logger.warning("refused %s (%s): %s", one_line(client), reason, one_line(problem))
        window.refused[reason] += 1

    def refusal_delay(self, client: str) -> float:
        """Return the seconds for which the refusal that was recorded last is to be held back."""
        window = self._windows.get(client)
        many = window is not None and window.refused.total() > PROMPT_REFUSALS
        return REFUSAL_DELAY_SECONDS if many else 0.0

    def ignored(self, client: str, reason: str) -> None:
        """Record that an unexpected frame of a client was dropped.

        Args:
            client: Its id.
            reason: An `UnexpectedReply`.
        """
        self._counters.count_ignored_answer(reason)
        window = self._window(client)
        if not window.ignored:
            _logger.info("ignored an answer of client %s: %s", client, reason)
        window.ignored[reason] += 1

    def unexpected(self, client: str, reason: UnexpectedReply, exchange: ExchangeId) -> None:
        """Record an unexpected frame of a client, of which only late ones are tolerated.

        Raises:
            ProtocolViolation: the frame is not late, or one of more than `IGNORED_LIMIT` in the window.
        """
        self.ignored(client, reason)
        frame = f"A chunk of step {exchange.step}, attempt {exchange.attempt}"
        match reason:
            case UnexpectedReply.REPLAYED:
                raise ProtocolViolation(f"{frame} came after the answer of which it is a part was complete.")
            case UnexpectedReply.UNASKED:
                raise ProtocolViolation(f"{frame} came, which this client was not asked for.")
            case UnexpectedReply.LATE:
                self._check_flood(client)

    def _check_flood(self, client: str) -> None:
        window = self._windows.get(client)
        if window and window.ignored.total() > IGNORED_LIMIT:
            raise ProtocolViolation(
                f"More than {IGNORED_LIMIT} chunks came within {WINDOW_SECONDS:.0f} s after their exchange "
                "was over or abandoned."
            )

    def flush(self) -> None:
        """Close the windows that are over, and log their faults that were only counted."""
        while self._windows:
            # Windows are in the order in which they were opened.
            client, window = next(iter(self._windows.items()))
            if not self._is_over(window):
                return
            self._close_window(client)

    def _window(self, client: str) -> _Window:
        if client not in self._windows and len(self._windows) >= CLIENTS_LIMIT:
            client = _OTHERS
        if client in self._windows and self._is_over(self._windows[client]):
            self._close_window(client)
        return self._windows.setdefault(client, _Window(self._clock()))

    def _close_window(self, client: str) -> None:
        unlogged = self._windows.pop(client).unlogged()
        if unlogged:
            _logger.warning("client %s, within %.0f s: %s", one_line(client), WINDOW_SECONDS, unlogged)

    def _is_over(self, window: _Window) -> bool:
        return self._clock() - window.opened >= WINDOW_SECONDS


def _by_reason(counts: Counter[str]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items()))
