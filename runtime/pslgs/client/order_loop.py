"""Receive the server's orders on one stream, and execute them."""

import asyncio
from contextlib import suppress

from pslgs.client.tasks import ClientContext, EvaluationTask, OrderTask, StepTask
from pslgs.coordination.feature_moments import FeatureScale
from pslgs.process.tasks import task_group
from pslgs.process.termination_message import ExitStatus
from pslgs.spec.errors import InputError
from pslgs.spec.exit_codes import ExitCode
from pslgs.transport.errors import ProtocolViolation, StreamEnded
from pslgs.transport.messages import Frame, control_frame
from pslgs.transport.peer_text import one_line
from pslgs.transport.v1 import training_pb2 as wire


async def execute_orders(context: ClientContext) -> ExitStatus:
    """Execute the orders of a connection until the server ends the job; return how this process shall end.

    Raises:
        InputError: this client's data are damaged; the error has been sent to the server.
        ProtocolViolation: the server broke the protocol.
        StreamEnded: the stream has ended.
    """
    try:
        async with task_group() as tasks:
            return await _OrderLoop(context, tasks).run()
    except InputError as error:
        failure = wire.Failure(exit_code=ExitCode.BAD_INPUT, message=one_line(str(error)))
        with suppress(StreamEnded):  # the exit code reports the error as well
            await context.connection.send([control_frame(wire.Header(failure=failure))])
        raise


class _OrderLoop:
    """Executes one order at a time; a new order, or an abort, cancels the current one."""

    def __init__(self, context: ClientContext, tasks: asyncio.TaskGroup) -> None:
        self._context = context
        self._tasks = tasks
        self._unscaled = context.model.features > 0
        self._current: OrderTask | None = None
        self._running: asyncio.Task[None] | None = None

    async def run(self) -> ExitStatus:
        try:
            while True:
                frame = await self._context.connection.receive()
                if frame.header.WhichOneof("body") == "finish":
                    return _exit_status(frame.header.finish)
                self._handle(frame)
        finally:
            self._cancel()

    def _handle(self, frame: Frame) -> None:
        header = frame.header
        match header.WhichOneof("body"):
            case "standardization":
                self._standardize(header.standardization)
            case "forward" | "evaluate" if self._unscaled:
                raise ProtocolViolation("An order came before the mean and deviation of the inputs.")
            case "forward":
                self._start(StepTask(self._context, header.forward))
            case "evaluate":
                self._start(EvaluationTask(self._context, header.evaluate))
            case "tensor":
                exchange = (header.tensor.step, header.tensor.attempt)
                if self._current and self._current.exchange == exchange:
                    self._current.receive(header.tensor, frame.payload)
            case "abort":
                if self._current and self._current.exchange == (header.abort.step, header.abort.attempt):
                    self._cancel()

    def _standardize(self, sent: wire.Standardization) -> None:
        try:
            scale = FeatureScale.of(sent.mean, sent.deviation, self._context.model.features)
        except ValueError as error:
            raise ProtocolViolation(f"The server sent a standardization that cannot be: {error}.") from error
        self._context.data.standardize(scale)
        self._unscaled = False

    def _start(self, task: OrderTask) -> None:
        self._cancel()
        self._current = task
        self._running = self._tasks.create_task(task.run())

    def _cancel(self) -> None:
        if self._running:
            self._running.cancel()
            self._context.connection.discard_posted()
        self._current = self._running = None


def _exit_status(finish: wire.Finish) -> ExitStatus:
    if finish.exit_code not in set(ExitCode):
        raise ProtocolViolation(f"There is no exit code {finish.exit_code}.")
    return ExitStatus(ExitCode(finish.exit_code), one_line(finish.reason))
