"""Receive the server's orders on one stream and execute them one after another."""

import asyncio
from contextlib import suppress

from pslgs.client.tasks import ClientContext, EvaluationTask, OrderTask, StepTask
from pslgs.process.task_group import task_group
from pslgs.process.termination_message import Ending
from pslgs.spec.errors import InputError
from pslgs.spec.exit_codes import ExitCode
from pslgs.transport.errors import ProtocolViolation, StreamEnded
from pslgs.transport.messages import Frame
from pslgs.transport.peer_text import one_line
from pslgs.transport.v1 import training_pb2 as wire


async def attend(context: ClientContext) -> Ending:
    """Carry out orders until the server says that the job is over, and how this process should end.

    Raises:
        InputError: this client's data are damaged; the server was told.
        ProtocolViolation: the server broke the protocol.
        StreamEnded: the stream is over.
    """
    try:
        async with task_group() as tasks:
            return await _Orders(context, tasks).follow()
    except InputError as error:
        failure = wire.Failure(exit_code=ExitCode.BAD_INPUT, message=one_line(str(error)))
        with suppress(StreamEnded):  # the exit code says it as well
            await context.connection.send(wire.Header(failure=failure))
        raise


class _Orders:
    """Carries out one order at a time; a new order, or an abort, cancels the one under way."""

    def __init__(self, context: ClientContext, tasks: asyncio.TaskGroup) -> None:
        self._context = context
        self._tasks = tasks
        self._present: OrderTask | None = None
        self._running: asyncio.Task[None] | None = None

    async def follow(self) -> Ending:
        try:
            while True:
                frame = await self._context.connection.receive()
                if frame.header.WhichOneof("body") == "finish":
                    return _ending(frame.header.finish)
                self._obey(frame)
        finally:
            self._drop()

    def _obey(self, frame: Frame) -> None:
        header = frame.header
        match header.WhichOneof("body"):
            case "forward":
                self._begin(StepTask(self._context, header.forward))
            case "evaluate":
                self._begin(EvaluationTask(self._context, header.evaluate))
            case "tensor":
                exchange = (header.tensor.step, header.tensor.attempt)
                if self._present and self._present.exchange == exchange:
                    self._present.accept(header.tensor, frame.payload)
            case "abort":
                if self._present and self._present.exchange == (header.abort.step, header.abort.attempt):
                    self._drop()

    def _begin(self, task: OrderTask) -> None:
        self._drop()
        self._present = task
        self._running = self._tasks.create_task(task.run())

    def _drop(self) -> None:
        if self._running:
            self._running.cancel()
        self._present = self._running = None


def _ending(finish: wire.Finish) -> Ending:
    if finish.exit_code not in set(ExitCode):
        raise ProtocolViolation(f"There is no exit code {finish.exit_code}.")
    return Ending(ExitCode(finish.exit_code), one_line(finish.reason))
