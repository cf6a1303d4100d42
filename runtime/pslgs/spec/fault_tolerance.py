"""Fault tolerance settings: quorum, time-outs, and reactions to lost, faulty and hostile clients."""

import re
from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from pslgs.spec.base import SpecModel
from pslgs.spec.scalars import INT32_MAX, PERCENTAGE, Count


class OnLostClient(StrEnum):
    """Reactions to the loss of a client."""

    CONTINUE = "Continue"
    WAIT = "Wait"
    FAIL = "Fail"


class OnNonFinite(StrEnum):
    """Reactions to values from a client that are not finite."""

    DROP_CLIENT = "DropClient"
    SKIP_STEP = "SkipStep"
    FAIL = "Fail"


class OnHostile(StrEnum):
    """Reactions to a client that violates the protocol."""

    DROP_CLIENT = "DropClient"
    EXCLUDE_CLIENT = "ExcludeClient"
    FAIL = "Fail"


def _count_or_percentage(value: object) -> object:
    """Validate the union as a whole, because pydantic would report one violation for each of its types."""
    number = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= INT32_MAX
    share = isinstance(value, str) and re.fullmatch(PERCENTAGE, value) is not None
    if not (number or share):
        raise PydanticCustomError("count_or_percentage", "is neither a count nor a percentage")
    return value


CountOrPercentage = Annotated[
    int | str,
    BeforeValidator(_count_or_percentage),
    Field(json_schema_extra={"x-kubernetes-int-or-string": True, "maxLength": 16}),
]


class FaultTolerance(SpecModel):
    """How the job deals with lost, slow and hostile clients, and with non-finite values."""

    min_available_clients: CountOrPercentage = Field(
        default=1,
        description="Minimum number of connected clients for a step: a number, or a percentage of the "
        "expected clients ('80%', rounded up). With fewer clients, the job waits.",
    )
    client_timeout_seconds: Count = Field(
        default=30,
        description="Maximum number of seconds that a client may take to answer; after that, the server "
        "treats it as lost.",
    )
    quorum_timeout_seconds: Count = Field(
        default=600,
        description="Maximum number of seconds that the job waits for minAvailableClients; after that, it "
        "fails.",
    )
    on_lost_client: OnLostClient = Field(
        default=OnLostClient.CONTINUE,
        description="Reaction to the loss of a client. Continue: train with the remaining clients. Wait: "
        "wait for its return, for at most quorumTimeoutSeconds. Fail: end the job.",
    )
    on_non_finite: OnNonFinite = Field(
        default=OnNonFinite.DROP_CLIENT,
        description="Reaction to values from a client that are infinite, NaN or too large to compute with. "
        "Nothing of the step is applied. DropClient: drop the client and repeat the step without it; the "
        "second time, it stays excluded until the server is restarted, and the third such client ends the "
        "job. SkipStep: leave out the step's samples in this epoch. Fail: end the job.",
    )
    on_hostile: OnHostile = Field(
        default=OnHostile.DROP_CLIENT,
        description="Reaction to a client that violates the protocol, as none of these programs does: "
        "malformed messages, answers that nobody asked for or that were given before, floods. DropClient: "
        "end its connection; the third time, it stays excluded until the server is restarted. "
        "ExcludeClient: exclude it the first time. Fail: end the job.",
    )

    def quorum(self, expected_clients: int) -> int:
        """Return the minimum number of clients for a step, given the number expected; at least 1."""
        if isinstance(self.min_available_clients, int):
            return self.min_available_clients
        percentage = int(self.min_available_clients.removesuffix("%"))
        return max(1, -(-percentage * expected_clients // 100))
