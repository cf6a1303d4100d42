"""A server without gRPC, threads, files or time, for unit tests of what carries out its effects.

async with fake_server() as server:
    session = server.connect("a")
    runner = StepRunner(server.context)
    runner.order_forward([...])
    await settle()
    assert bodies(session) == ["forward", "tensor"]
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterable, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any

import grpc
import torch
from prometheus_client import CollectorRegistry

from pslgs.coordination.membership import Membership
from pslgs.coordination.messages import Event, ExchangeId, LocalBatch, RequestSent, RequestsReady
from pslgs.process.tasks import task_group
from pslgs.server.client_faults import ClientFaults
from pslgs.server.connections import ClientConnections
from pslgs.server.context import ServerContext
from pslgs.server.label_statistics import LabelStatistics
from pslgs.server.recorder import RunRecorder
from pslgs.spec import JobSpec, parse_job
from pslgs.telemetry.journal import Journal
from pslgs.telemetry.metrics import JobLabels, JobSeries, ServerMetrics
from pslgs.telemetry.records import Record, decode
from pslgs.telemetry.status import Status
from pslgs.training.local_server_model import LocalServerModel
from pslgs.training.setup import TrainingSetup, build_setup
from pslgs.training.tensors import slice_rows
from pslgs.training.torch_thread import TorchThread
from pslgs.transport.codec import codec_for, tensor_bytes
from pslgs.transport.errors import StreamEnded, stream_ended
from pslgs.transport.grpc_server import Session
from pslgs.transport.messages import Frame, decode_frames, encode_frame, tensor_frames
from pslgs.transport.v1 import training_pb2 as wire

INPUTS = 4
CLASSES = 3


class FakeSession(Session):
    """A client's stream without gRPC; to be made while an event loop runs.

    A test reads what the server sent and feeds what the client would have sent.

    Attributes:
        sent_frames: Frames that the server sent, in order.
        messages: Number of gRPC messages with these frames.
        ended: Status and details with which the server ended the stream; None while it is open.
        reads: Whether the client takes what the server sends; while it does not, senders wait.
    """

    def __init__(self, client_id: str, number: int = 1) -> None:
        super().__init__(client_id, f"fake:{client_id}", number)
        self.sent_frames: list[Frame] = []
        self.messages = 0
        self.ended: tuple[grpc.StatusCode, str] | None = None
        self.reads = asyncio.Event()
        self.reads.set()
        self._fed: asyncio.Queue[Frame | StreamEnded] = asyncio.Queue()
        self._writing = asyncio.create_task(self._write_messages(self.accept))

    async def accept(self, message: bytes) -> None:
        """Take a message from the server, in the place of gRPC."""
        await self.reads.wait()
        self.messages += 1
        self.sent_frames += decode_frames(message)

    async def receive(self) -> Frame:
        fed = await self._fed.get()
        if isinstance(fed, StreamEnded):
            raise fed
        self._count_received(fed.kind, fed.size)
        return fed

    def end(self, status: grpc.StatusCode, details: str, retry_seconds: float = 0.0) -> None:
        if self.ended is None:
            self.ended = status, details
            super().end(status, details, retry_seconds)
            self._fed.put_nowait(stream_ended(status, details, retry_seconds))

    def feed(self, *frames: Frame) -> None:
        """Have the client send frames, for `receive`."""
        for frame in frames:
            self._fed.put_nowait(frame)

    def leave(self, details: str = "The connection was lost.") -> None:
        """Have the client go; `receive` gives what was fed before."""
        self._fed.put_nowait(stream_ended(grpc.StatusCode.UNAVAILABLE, details))


class ManualTorchThread(TorchThread):
    """Runs calls in the caller's thread, at once or, while ``held``, when the test says so."""

    def __init__(self, *, held: bool = False) -> None:
        self.held = held
        self._waiting: deque[Callable[[], None]] = deque()

    def submit(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(call(*args, **kwargs))
            except Exception as error:  # noqa: BLE001 - as an executor does
                future.set_exception(error)

        self._waiting.append(work)
        if not self.held:
            self.work()
        return future

    async def compute(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return await self.run(call, *args, **kwargs)

    @property
    def waiting(self) -> int:
        """Calls that have not been run."""
        return len(self._waiting)

    def work(self, calls: int | None = None) -> None:
        """Run the calls that wait, the first ``calls`` of them or all."""
        for _ in range(len(self._waiting) if calls is None else calls):
            self._waiting.popleft()()

    def close(self) -> None:
        self._waiting.clear()


class RecordList(Journal):
    """A journal in memory."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def append_line(self, line: bytes) -> None:
        self.records.append(decode(line))

    def close(self) -> None:
        pass


@dataclass
class ManualClock:
    """Seconds that pass when the test says so."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


class BackgroundTasks(asyncio.TaskGroup):
    """A task group that remembers its tasks, so that a test can leave some unfinished."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[asyncio.Task[Any]] = []

    def create_task(
        self,
        coro: Generator[Any, None, Any] | Coroutine[Any, Any, Any],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[Any]:
        task = super().create_task(coro, name=name, context=context)
        self.all.append(task)
        return task


@dataclass
class FakeServer:
    """What a server's parts work with, and what a test sees of them.

    Attributes:
        context: Passed to the parts under test.
        torch: The torch thread of ``context``.
        clock: The clock of ``context``.
        journal: The records that were written.
        registry: The metrics.
        events: What the coordinator was told, but for ``requests``; another ``post`` can take their place.
        requests: What the coordinator was told of requests on their way to the clients.
    """

    context: ServerContext
    torch: ManualTorchThread
    clock: ManualClock
    journal: RecordList
    registry: CollectorRegistry
    events: list[Event] = field(default_factory=list)
    requests: list[RequestsReady | RequestSent] = field(default_factory=list)
    sessions: dict[str, FakeSession] = field(default_factory=dict)

    @property
    def task(self) -> TrainingSetup:
        return self.context.task

    def connect(self, client: str) -> FakeSession:
        """Connect a client; its session is numbered from 1 on in the order of connecting."""
        session = FakeSession(client, len(self.sessions) + 1)
        self.sessions[client] = session
        self.context.connections.connect(session)
        return session

    def counted(self, metric: str, **labels: str) -> float:
        """Return the value of a metric, 0 if there is no such series."""
        return self.registry.get_sample_value(metric, labels) or 0.0

    def records(self, kind: type) -> list[Any]:
        """Return the records of one kind."""
        return [record for record in self.journal.records if isinstance(record, kind)]


def tiny_spec(**spec: Any) -> JobSpec:
    """Return a job whose samples are 4 numbers, whose cut has 2, and which has 3 classes."""
    return parse_job(tiny_document(**spec)).spec


def tiny_document(**spec: Any) -> dict[str, Any]:
    """Return the manifest of `tiny_spec`."""
    model = {
        "architecture": "mlp",
        "options": {"inputs": INPUTS, "hidden": [2, 5], "outputs": CLASSES},
        "cutLayer": "hidden1",
        "inputShape": [INPUTS],
    }
    data = {"train": {"format": "NumPy", "path": "/nowhere"}}
    return {
        "apiVersion": "pslgs.dev/v1alpha1",
        "kind": "SplitTrainingJob",
        "metadata": {"name": "tiny"},
        "spec": {"model": model, "data": data, "epochs": 2, "sampling": {"globalBatchSize": 8}} | spec,
    }


@asynccontextmanager
async def fake_server(
    spec: JobSpec | None = None,
    *,
    torch_thread: ManualTorchThread | None = None,
    post: Callable[[Event], None] | None = None,
) -> AsyncIterator[FakeServer]:
    """Build a context for a tiny model on the CPU; what its parts left unfinished is cancelled at the end.

    Raises:
        Exception: what a task of the server's raised, as itself.
    """
    spec = spec or tiny_spec()
    task, network = build_setup(spec, spec.model.input_shape or (INPUTS,))
    layout = task.layout
    events: list[Event] = []
    requests: list[RequestsReady | RequestSent] = []

    def note(event: Event) -> None:
        if isinstance(event, RequestsReady | RequestSent):
            requests.append(event)
        else:
            events.append(event)

    clock, journal = ManualClock(), RecordList()
    series = JobSeries(JobLabels("tiny", "mlp", "hidden1", "Global"), spec.epochs, 1, 100)
    registry = CollectorRegistry()
    metrics = ServerMetrics(registry, series)
    torch_thread = torch_thread or ManualTorchThread()
    async with task_group(), BackgroundTasks() as tasks:
        context = ServerContext(
            task=task,
            model=LocalServerModel(task, network, torch.device("cpu")),
            torch=torch_thread,
            encoding=codec_for(spec.transport.compression, layout.features, layout.dtype),
            connections=ClientConnections(),
            label_statistics=LabelStatistics(task.objective.classes, Membership()),
            recorder=RunRecorder(journal, metrics, Status(0.0, spec.epochs, 1), clock),
            faults=ClientFaults(metrics, clock),
            tasks=tasks,
            post=post or note,
            clock=clock,
        )
        yield FakeServer(context, torch_thread, clock, journal, registry, events, requests)
        for each in tasks.all:
            each.cancel()


async def settle() -> None:
    """Let everything run that waits for nothing but the event loop."""
    for _ in range(50):
        await asyncio.sleep(0)


def local_batches(server: FakeServer, samples: dict[str, int], offset: int = 0) -> tuple[LocalBatch, ...]:
    """Give each connected client its number of samples."""
    return tuple(LocalBatch(name, server.sessions[name].number, offset, n) for name, n in samples.items())


def bodies(session: FakeSession) -> list[str | None]:
    """Name the bodies of the frames that the server sent."""
    return [frame.header.WhichOneof("body") for frame in session.sent_frames]


def sent_tensor(session: FakeSession, kind: wire.Tensor.Kind) -> bytes:
    """Put the payloads of all sent chunks of one kind together."""
    frames = [frame for frame in session.sent_frames if frame.header.WhichOneof("body") == "tensor"]
    return b"".join(bytes(frame.payload) for frame in frames if frame.header.tensor.kind == kind)


def forward_answer(
    server: FakeServer,
    exchange: ExchangeId,
    labels: Sequence[int],
    smashed: torch.Tensor | None = None,
) -> list[Frame]:
    """Return the frames of a local batch: labels, then smashed data (rows, features), ones if not given.

    An evaluation is answered in the same way, under its own exchange.
    """
    layout, rows = server.task.layout, len(labels)
    smashed = torch.ones((rows, layout.features), dtype=layout.dtype) if smashed is None else smashed
    encoded = server.task.objective.as_labels(torch.tensor(labels))
    frames = _tensor(exchange, wire.Tensor.LABELS, tensor_bytes(encoded))
    for first, count in slice_rows(rows, layout.bytes_per_sample):
        data = server.context.encoding.encode(smashed[first : first + count])
        frames += _tensor(exchange, wire.Tensor.SMASHED_DATA, data, first, count)
    return frames


def gradient_answer(
    server: FakeServer, exchange: ExchangeId, gradient: torch.Tensor | None = None
) -> list[Frame]:
    """Return the frames of a client gradient, a vector, zeros if not given."""
    elements = server.task.client_gradient_elements
    vector = torch.zeros(elements, dtype=server.task.layout.dtype) if gradient is None else gradient
    return _tensor(exchange, wire.Tensor.CLIENT_GRADIENT, tensor_bytes(vector))


def control(**body: Any) -> Frame:
    """Return a frame without payload: ``control(hello=Hello(...))``."""
    return decode_frames(encode_frame(wire.Header(**body)))[0]


Receive = Callable[[Session, wire.Tensor, memoryview], Event | None]


def deliver(receive: Receive, session: FakeSession, frames: Iterable[Frame]) -> Event | None:
    """Hand chunks to a runner's ``receive`` as the session handler would; return its last answer."""
    event: Event | None = None
    for frame in frames:
        event = receive(session, frame.header.tensor, frame.payload)
    return event


def _tensor(
    exchange: ExchangeId, kind: wire.Tensor.Kind, data: memoryview, first: int = 0, samples: int = 0
) -> list[Frame]:
    encoded = tensor_frames(kind, exchange.step, exchange.attempt, first, samples, data)
    return [frame for each in encoded for frame in decode_frames(each.data)]
