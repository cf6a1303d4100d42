"""Carries out the server's orders on one stream, until it ends."""

import asyncio
from contextlib import suppress

from pslgs.client.participation import (
    EvaluationParticipation,
    Participation,
    StepParticipation,
    Tools,
)
from pslgs.lifecycle.last_words import Ending
from pslgs.lifecycle.tasks import together
from pslgs.spec.errors import InputError
from pslgs.spec.exit_codes import ExitCode
from pslgs.wire.errors import ProtocolViolation, StreamEnded
from pslgs.wire.frames import Frame
from pslgs.wire.peer_text import one_line
from pslgs.wire.v1 import training_pb2 as wire


async def attend(tools: Tools) -> Ending:
    """Carry out orders until the server says that the job is over, and how this process should end.

    Raises:
        InputError: this client's data are damaged; the server was told.
        ProtocolViolation: the server broke the protocol.
        StreamEnded: the stream is over.
    """
    try:
        async with together() as tasks:
            return await _Orders(tools, tasks).follow()
    except InputError as error:
        failure = wire.Failure(exit_code=ExitCode.BAD_INPUT, message=one_line(str(error)))
        with suppress(StreamEnded):  # the exit code says it as well
            await tools.connection.send(wire.Header(failure=failure))
        raise


class _Orders:
    """Carries out one order at a time; a new order, or an abort, cancels the one under way."""

    def __init__(self, tools: Tools, tasks: asyncio.TaskGroup) -> None:
        self._tools = tools
        self._tasks = tasks
        self._present: Participation | None = None
        self._running: asyncio.Task[None] | None = None

    async def follow(self) -> Ending:
        try:
            while True:
                frame = await self._tools.connection.receive()
                if frame.header.WhichOneof("body") == "finish":
                    return _ending(frame.header.finish)
                self._obey(frame)
        finally:
            self._drop()

    def _obey(self, frame: Frame) -> None:
        header = frame.header
        match header.WhichOneof("body"):
            case "forward":
                self._begin(StepParticipation(self._tools, header.forward))
            case "evaluate":
                self._begin(EvaluationParticipation(self._tools, header.evaluate))
            case "tensor":
                ticket = (header.tensor.step, header.tensor.attempt)
                if self._present and self._present.ticket == ticket:
                    self._present.accept(header.tensor, frame.payload)
            case "abort":
                if self._present and self._present.ticket == (header.abort.step, header.abort.attempt):
                    self._drop()

    def _begin(self, participation: Participation) -> None:
        self._drop()
        self._present = participation
        self._running = self._tasks.create_task(participation.run())

    def _drop(self) -> None:
        if self._running:
            self._running.cancel()
        self._present = self._running = None


def _ending(finish: wire.Finish) -> Ending:
    if finish.exit_code not in set(ExitCode):
        raise ProtocolViolation(f"There is no exit code {finish.exit_code}.")
    return Ending(ExitCode(finish.exit_code), one_line(finish.reason))
