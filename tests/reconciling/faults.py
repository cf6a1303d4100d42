"""Calls to the API server that fail, before or after they took effect."""

from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp

from fake_api.answers import StatusError
from fake_api.server import Answer, Request
from reconciling.life import Operator


def _failing(status: int, reason: str, **headers: str) -> Callable[[], Answer]:
    def fail() -> Answer:
        error = StatusError(status, reason, "injected", headers=headers)
        return Answer(error.status, error.body, error.headers)

    return fail


def _raising(error: Callable[[], Exception]) -> Callable[[], Answer]:
    def fail() -> Answer:
        raise error()

    return fail


FAILURES = {
    "time-out": _raising(TimeoutError),
    "connection lost": _raising(aiohttp.ServerDisconnectedError),
    "409": _failing(409, "Conflict"),
    "410": _failing(410, "Expired"),
    "429": _failing(429, "TooManyRequests", **{"Retry-After": "1"}),
    "500": _failing(500, "InternalError"),
}


@dataclass
class Fault:
    """Lets one call fail.

    Attributes:
        number: Which, counted from 0; None for none.
        after: Whether it takes effect nevertheless.
        calls: What was asked for.
    """

    number: int | None = None
    fail: Callable[[], Answer] = FAILURES["500"]
    after: bool = False
    calls: list[str] = field(default_factory=list)

    def attach(self, operator: Operator) -> None:
        """Put it between an operator and its API server."""
        carry = operator.cluster.transport

        async def transport(request: Request) -> Answer:
            number = len(self.calls)
            name = request.path.rpartition("/")[2]
            self.calls.append(f"{operator.cluster.described(request)} {name}")
            if number != self.number:
                return await carry(request)
            if self.after:
                await carry(request)
            return self.fail()

        operator.cluster.transport = transport
