"""A client without gRPC, threads, files or clock, for unit tests of how it executes orders.

async with fake_client() as client:
    client.feed(forward(samples=3), *client.parameters())
    await settle()
    assert bodies(client.connection) == ["tensor", "tensor"]
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor, Future
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from prometheus_client import CollectorRegistry
from torch import Tensor, nn

from pslgs.client.compute import ClientModel
from pslgs.client.loading import BatchLoad, LoadingThreads, LocalData, Prefetcher
from pslgs.client.order_loop import execute_orders
from pslgs.client.tasks import ClientContext
from pslgs.data.client_dataset import ClientDataset, DatasetOwner
from pslgs.data.transforms import build_pipeline
from pslgs.process.termination_message import ExitStatus
from pslgs.spec import InputError, JobSpec
from pslgs.telemetry.metrics import ClientMetrics
from pslgs.training.client_step import ClientStep
from pslgs.training.setup import TrainingSetup, build_setup
from pslgs.training.tensors import concatenated, floating_tensors, slice_rows
from pslgs.transport.codec import TensorCodec, codec_for, tensor_bytes
from pslgs.transport.messages import Frame, decode_frames, tensor_frames
from pslgs.transport.v1 import training_pb2 as wire
from server.fakes import INPUTS, FakeSession, ManualTorchThread, control, settle, tiny_spec

SAMPLES = 10
DAMAGED = 7
NOT_FINITE = 8


class FakeConnection(FakeSession):
    """Connection of a client, with methods to feed frames of the server and to read those of the client."""

    def __init__(self) -> None:
        super().__init__("the server")


class Rows:
    """Ten rows of four numbers; a test can make one of them unusable.

    Attributes:
        damaged: Index of a row that cannot be read; None for none.
        not_finite: Index of a row that contains NaN; None for none.
    """

    class_names = None
    is_thread_safe = True
    is_in_memory = False
    has_text_labels = False

    def __init__(self) -> None:
        self.labels = np.arange(SAMPLES) % 3
        self.damaged: int | None = None
        self.not_finite: int | None = None

    def __len__(self) -> int:
        return SAMPLES

    def load(self, index: int) -> Tensor:
        if index == self.damaged:
            raise InputError.at("spec.data.train", f"has a damaged row {index}")
        row = torch.full((INPUTS,), float(index)) / SAMPLES
        return row * float("nan") if index == self.not_finite else row


class ManualExecutor(Executor):
    """Runs calls when they are submitted, or, while ``held``, at `release`.

    Attributes:
        held: Whether calls wait for `release`.
        cancelled: Number of calls that were cancelled.
    """

    def __init__(self) -> None:
        self.held = False
        self.cancelled = 0
        self._waiting: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.add_done_callback(self._count)
        self._waiting.append((future, partial(call, *args, **kwargs)))
        if not self.held:
            self.release()
        return future

    def release(self) -> None:
        """Run the waiting calls, and let later ones proceed."""
        self.held = False
        waiting, self._waiting = self._waiting, []
        for future, call in waiting:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call())
                except InputError as error:
                    future.set_exception(error)

    def _count(self, future: Future[Any]) -> None:
        self.cancelled += future.cancelled()


class ManualLoading(LoadingThreads):
    """Loads batches in the event loop; see `ManualExecutor`.

    Attributes:
        executor: Runs the loads.
        loads: Epoch, offset and number of samples of each requested load.
    """

    def __init__(self) -> None:
        self.executor = ManualExecutor()
        self.loads: list[tuple[int | None, int, int]] = []
        super().__init__(1, self.executor)

    def load(
        self,
        dataset: ClientDataset,
        epoch: int | None,
        offset: int,
        count: int,
        on_loaded: Callable[[], None] = lambda: None,
    ) -> BatchLoad:
        self.loads.append((epoch, offset, count))
        return super().load(dataset, epoch, offset, count, on_loaded)


@dataclass
class FakeClient:
    """A client under test, with its parts.

    Attributes:
        data: Its datasets, which load from ``rows`` and ``evaluation_rows``.
        part: The client part of the network.
        execution: Task that executes the orders.
    """

    task: TrainingSetup
    part: nn.Module
    encoding: TensorCodec
    rows: Rows
    evaluation_rows: Rows
    data: LocalData
    training: ClientDataset
    model: ClientModel
    torch: ManualTorchThread
    loading: ManualLoading
    connection: FakeConnection
    registry: CollectorRegistry
    execution: asyncio.Task[ExitStatus]

    def feed(self, *frames: Frame) -> None:
        """Deliver frames as if the server had sent them."""
        self.connection.feed(*frames)

    def parameters(self, step: int = 1, attempt: int = 1) -> list[Frame]:
        """Return the frames of the client part's parameters."""
        vector = concatenated(floating_tensors(self.part), self.task.layout.dtype)
        return _tensor(wire.Tensor.PARAMETERS, (step, attempt), (0, 0), tensor_bytes(vector))

    def cut_gradient(self, samples: int, step: int = 1, attempt: int = 1) -> list[Frame]:
        """Return the frames of a cut gradient of ones, slice by slice."""
        frames: list[Frame] = []
        for first, rows in slice_rows(samples, self.task.layout.bytes_per_sample):
            gradient = torch.ones((rows, self.task.layout.features), dtype=self.task.layout.dtype)
            data = self.encoding.encode(gradient)
            frames += _tensor(wire.Tensor.CUT_GRADIENT, (step, attempt), (first, rows), data)
        return frames

    def loads_observed(self) -> float:
        """Return how many loads the metrics have counted."""
        return self.registry.get_sample_value("pslgs_client_load_seconds_count") or 0.0


@asynccontextmanager
async def fake_client(
    spec: JobSpec | None = None, *, evaluates: bool = True, connection: FakeConnection | None = None
) -> AsyncIterator[FakeClient]:
    """Run a client of a tiny model on a fake connection; it is cancelled at the end."""
    spec = spec or tiny_spec()
    torch.manual_seed(0)
    task, network = build_setup(spec, (INPUTS,))
    encoding = codec_for(spec.transport.compression, task.layout.features, task.layout.dtype)
    rows, evaluation_rows = Rows(), Rows()
    training, evaluation = _dataset(rows), _dataset(evaluation_rows)
    registry = CollectorRegistry()
    metrics, loading, thread = ClientMetrics(registry), ManualLoading(), ManualTorchThread()
    model = ClientModel(task, encoding, ClientStep(task, network.client_part, "a"), metrics)
    data = LocalData(
        Prefetcher(training, loading, metrics.observe_load),
        Prefetcher(evaluation, loading, lambda _: None) if evaluates else None,
    )
    connection = connection or FakeConnection()
    execution = asyncio.create_task(execute_orders(ClientContext(data, model, thread, connection)))
    client = FakeClient(
        task=task,
        part=network.client_part,
        encoding=encoding,
        rows=rows,
        evaluation_rows=evaluation_rows,
        data=data,
        training=training,
        model=model,
        torch=thread,
        loading=loading,
        connection=connection,
        registry=registry,
        execution=execution,
    )
    try:
        yield client
    finally:
        data.training.discard()
        if data.evaluation:
            data.evaluation.discard()
        execution.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await execution
        await settle()


def forward(samples: int, offset: int = 0, following: int = 0, step: int = 1, attempt: int = 1) -> Frame:
    """Return the order of a step on a local batch of epoch 1; the next batch has ``following`` samples."""
    order = wire.Forward(
        step=step,
        attempt=attempt,
        epoch=1,
        offset=offset,
        samples=samples,
        next_offset=offset + samples,
        next_samples=following,
    )
    return control(forward=order)


def evaluate(first: int, samples: int, step: int = 1) -> Frame:
    """Return the order to evaluate a range."""
    return control(evaluate=wire.Evaluate(step=step, attempt=0, first=first, samples=samples))


def abort(step: int = 1, attempt: int = 1) -> Frame:
    """Return the abort of an attempt."""
    return control(abort=wire.Abort(step=step, attempt=attempt))


def finish(exit_code: int = 0, reason: str = "all epochs are done") -> Frame:
    """Return the message that ends the job."""
    return control(finish=wire.Finish(exit_code=exit_code, reason=reason))


def kinds(connection: FakeConnection) -> list[str]:
    """Name what the client sent: the kinds of tensors, or the bodies of other frames."""
    return [
        frame.kind if frame.header.WhichOneof("body") == "tensor" else str(frame.header.WhichOneof("body"))
        for frame in connection.sent_frames
    ]


def sent(connection: FakeConnection, kind: wire.Tensor.Kind) -> bytes:
    """Return the payloads of all chunks of one kind."""
    frames = [frame for frame in connection.sent_frames if frame.header.WhichOneof("body") == "tensor"]
    return b"".join(bytes(frame.payload) for frame in frames if frame.header.tensor.kind == kind)


def labels_sent(connection: FakeConnection) -> Sequence[int]:
    """Return the labels that the client sent."""
    return np.frombuffer(sent(connection, wire.Tensor.LABELS), dtype=np.int64).tolist()


def _dataset(rows: Rows) -> ClientDataset:
    pipeline = build_pipeline([], "spec.data.transforms")
    return ClientDataset(rows, np.arange(SAMPLES), pipeline, DatasetOwner("a", 0, "spec.data.train"))


def _tensor(kind: Any, exchange: tuple[int, int], part: tuple[int, int], data: memoryview) -> list[Frame]:
    encoded = tensor_frames(kind, *exchange, *part, data)
    return [frame for each in encoded for frame in decode_frames(each.data)]
