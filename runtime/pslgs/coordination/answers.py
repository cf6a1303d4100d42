"""Tells why an answer that nobody waits for came: late, replayed or never asked for."""

from enum import StrEnum

from pslgs.coordination.messages import ExchangeId


class Phase(StrEnum):
    """The half of an exchange that an answer belongs to."""

    FORWARD = "forward"
    BACKWARD = "backward"


class Unexpected(StrEnum):
    """Why nobody waits for an answer."""

    LATE = "late"
    """It belongs to an exchange that is over, was given up, or was ordered of other clients."""
    REPLAYED = "replayed"
    """The client has answered this exchange, or one ordered after it, completely before."""
    UNASKED = "unasked"
    """It belongs to an exchange that has not been ordered yet."""


class AnswerHistory:
    """The last complete answer of each client, by phase.

    Streams keep their order and a client drops what it is doing when a new order comes.  So an honest
    client never answers an exchange after it has completed an answer to that one or to a later one.
    """

    def __init__(self) -> None:
        self._last: dict[tuple[str, Phase], ExchangeId] = {}

    def completed(self, client: str, phase: Phase, exchange: ExchangeId) -> None:
        """Note that a client has answered an exchange completely."""
        self._last[client, phase] = exchange

    def unexpected(
        self, client: str, phase: Phase, exchange: ExchangeId, newest: ExchangeId | None
    ) -> Unexpected:
        """Classify an answer that nobody waits for.

        Args:
            client: Its sender.
            phase: What it answers.
            exchange: The exchange that it names.
            newest: The exchange ordered last, which this client takes no part in or which was given up; None
                where there was none.
        """
        last = self._last.get((client, phase))
        if last is not None and exchange <= last:
            return Unexpected.REPLAYED
        return Unexpected.LATE if newest is not None and exchange <= newest else Unexpected.UNASKED
