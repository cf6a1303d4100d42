"""What happens when clients are lost or slow."""

import re
from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from pslgs.spec.base import SpecModel
from pslgs.spec.scalars import INT32_MAX, PERCENTAGE, Count


class OnLostClient(StrEnum):
    """What follows when a client is lost."""

    CONTINUE = "Continue"
    WAIT = "Wait"
    FAIL = "Fail"


def _count_or_percentage(value: object) -> object:
    """Judge the union by itself, because pydantic would report a violation for each of its types."""
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
    """What happens when clients are lost or slow."""

    min_available_clients: CountOrPercentage = Field(
        default=1,
        description="Clients that a step needs: a number, or a percentage of the expected clients ('80%', "
        "rounded up). With fewer, the job waits.",
    )
    client_timeout_seconds: Count = Field(
        default=30, description="A client that owes an answer for longer is lost, in seconds."
    )
    quorum_timeout_seconds: Count = Field(
        default=600,
        description="The job fails after waiting for minAvailableClients for so long, in seconds.",
    )
    on_lost_client: OnLostClient = Field(
        default=OnLostClient.CONTINUE,
        description="Continue with the others; Wait until it is back, up to quorumTimeoutSeconds; or Fail.",
    )

    def quorum(self, expected_clients: int) -> int:
        """Count the clients that a step needs out of ``expected_clients``; at least 1."""
        if isinstance(self.min_available_clients, int):
            return self.min_available_clients
        percentage = int(self.min_available_clients.removesuffix("%"))
        return max(1, -(-percentage * expected_clients // 100))
