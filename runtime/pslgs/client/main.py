"""The client process: open the data, build the model, connect and execute the server's orders."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from prometheus_client import CollectorRegistry

from pslgs.client.compute import ClientModel
from pslgs.client.failure_report import report_failure
from pslgs.client.health import ClientHealth
from pslgs.client.loading import LoadingThreads, LocalData, Prefetcher
from pslgs.client.order_loop import execute_orders
from pslgs.client.reconnecting import run_with_reconnects
from pslgs.client.tasks import ClientContext
from pslgs.data.client_dataset import ClientDataset
from pslgs.data.left_out import counts_by_reason
from pslgs.data.loading import (
    EVALUATION,
    TRAINING,
    can_decode_in_threads,
    open_evaluation_data,
    open_training_data,
)
from pslgs.data.sample_check import CheckCancelledError, Checking
from pslgs.data.standardization import moments_of
from pslgs.identity.identity import renewed_from
from pslgs.process.signals import stop_reason
from pslgs.process.tasks import cancel_and_wait, in_background
from pslgs.process.termination_message import ExitStatus
from pslgs.spec.data import EvaluationPlace
from pslgs.spec.digest import job_digest
from pslgs.spec.errors import InputError
from pslgs.spec.exit_codes import ExitCode
from pslgs.spec.job import JobSpec
from pslgs.telemetry.http import HttpServer
from pslgs.telemetry.metrics import ClientMetrics
from pslgs.telemetry.prometheus import ProcessRegistry
from pslgs.training.client_step import ClientStep
from pslgs.training.dataset_check import check_dataset
from pslgs.training.setup import build_setup
from pslgs.training.torch_thread import TorchThread
from pslgs.transport.client_connection import back_off, connect
from pslgs.transport.codec import codec_for
from pslgs.transport.peer_text import one_line
from pslgs.transport.shapes import state_shape
from pslgs.transport.stream import Stream
from pslgs.transport.v1 import training_pb2 as wire


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """Options of a client process.

    Attributes:
        client_id: Id of the client, as in its certificate.
        server: Address of the server, ``host:port``.
        identity: Folder with the client's certificate; None disables TLS.
        cache: Folder that caches converted datasets.
        cores: Number of threads that load samples; torch computes on as many cores.
        partition_index: Index of the client's share of a partition, from 0; None without a partition.
        http: Host and port to serve /metrics, /healthz, /readyz and /status at; None disables it.
        connect_timeout_seconds: Seconds after which the client gives up connecting to the server.
        reconnect_after_interruption: Whether to connect again after the server was interrupted, until it is
            resumed.
        with_parent: Whether to stop when the parent process ends.
    """

    client_id: str
    server: str
    identity: Path | None
    cache: Path
    cores: int
    partition_index: int | None = None
    http: tuple[str, int] | None = None
    connect_timeout_seconds: float = 300.0
    reconnect_after_interruption: bool = False
    with_parent: bool = False


ORPHAN_GRACE_SECONDS = 10.0
"""Seconds that a client waits for the server to end its session after their common parent has ended.

If the client left first, the server could take another step without it before it stops itself, and the
resumed run would differ from an undisturbed one.
"""

_OpenedData = tuple[ClientDataset, ClientDataset | None]
_logger = logging.getLogger(__name__)


async def run_client(spec: JobSpec, options: ClientOptions) -> ExitStatus:
    """Run a client of a job until the job ends, the server refuses or this process is asked to stop.

    Raises:
        InputError: the data, the model or the certificate cannot be used.
    """
    registry = ProcessRegistry()
    health = ClientHealth(options.client_id, time.time)
    torch_thread = TorchThread()
    loading = LoadingThreads(options.cores if can_decode_in_threads(spec.data) else 1)
    try:
        async with _http_server(options, registry, health):
            with stop_reason(with_parent=options.with_parent, parent_grace=ORPHAN_GRACE_SECONDS) as stop:
                metrics = ClientMetrics(registry)
                try:
                    data = await loading.run(_open_data, spec, options, stop.done)
                    model, hello = await torch_thread.run(prepare, spec, options, data, metrics)
                except CheckCancelledError:
                    return ExitStatus(ExitCode.INTERRUPTED, stop.result())
                except InputError as error:
                    _logger.error("this client cannot take part: %s", one_line(str(error)))  # noqa: TRY400
                    await run_until_stopped(_report(error, spec, options), stop)
                    raise
                _logger.info("%s samples are ready; connecting to %s", f"{hello.samples:,}", options.server)
                local_data = _prefetchers(data, loading, metrics)
                return await run_until_stopped(
                    _serve(local_data, model, hello, torch_thread, options, health), stop
                )
    finally:
        loading.close()
        torch_thread.close()


async def _report(error: InputError, spec: JobSpec, options: ClientOptions) -> ExitStatus:
    with suppress(
        InputError
    ):  # of a certificate that cannot be used either; the first error is the one to report
        connecting = _connection(options, _jitter(options))
        await report_failure(error, options.client_id, job_digest(spec), connecting)
    return ExitStatus(ExitCode.BAD_INPUT, str(error))


async def run_until_stopped(work: Coroutine[Any, Any, ExitStatus], stop: asyncio.Future[str]) -> ExitStatus:
    """Return the result of ``work``, or cancel it when ``stop``, the reason to stop this process, is set."""
    working = asyncio.create_task(work)
    awaited: list[asyncio.Future[Any]] = [working, stop]
    await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
    if working.done():
        return working.result()
    await cancel_and_wait(working)
    _logger.info("%s", stop.result())
    return ExitStatus(ExitCode.INTERRUPTED, stop.result())


def prepare(
    spec: JobSpec, options: ClientOptions, data: _OpenedData, metrics: ClientMetrics
) -> tuple[ClientModel, wire.Hello]:
    """Build the client part, and the message that introduces the client and its data to the server.

    Raises:
        InputError: the model cannot be used, or the data do not fit it.
    """
    training, evaluation = data
    task, network = build_setup(spec, training.input_shape)
    check_dataset(task, training, TRAINING)
    if evaluation is not None:
        check_dataset(task, evaluation, EVALUATION)
    moments = moments_of(spec.data, training) if task.features else None
    encoding = codec_for(spec.transport.compression, task.layout.features, task.layout.dtype)
    left_out = counts_by_reason(each for dataset in data if dataset for each in dataset.left_out)
    hello = wire.Hello(
        client_id=options.client_id,
        job_digest=job_digest(spec),
        samples=training.samples,
        label_counts=task.objective.class_counts(task.objective.as_labels(torch.from_numpy(training.labels))),
        class_names=training.class_names or (),
        evaluation_samples=evaluation.samples if evaluation else 0,
        left_out=left_out,
        feature_moments=None
        if moments is None
        else wire.FeatureMoments(count=moments.count, mean=moments.mean, deviations=moments.deviations),
    )
    state_shape(hello, task.input_shape)
    step = ClientStep(task, network.client_part, options.client_id)
    return ClientModel(task, encoding, step, metrics), hello


def _open_data(spec: JobSpec, options: ClientOptions, cancelled: Callable[[], bool]) -> _OpenedData:
    name, index, seed = options.client_id, options.partition_index, spec.sampling.seed
    checking = Checking(options.cores, cancelled=cancelled)
    training = open_training_data(
        spec.data, client_id=name, partition_index=index, seed=seed, cache=options.cache, checking=checking
    )
    if spec.data.evaluation is None or spec.data.evaluation.at is not EvaluationPlace.CLIENTS:
        return training, None
    evaluation = open_evaluation_data(
        spec.data,
        client_id=name,
        partition_index=index,
        seed=seed,
        cache=options.cache,
        class_names=training.class_names or (),
        checking=checking,
    )
    return training, evaluation


def _prefetchers(data: _OpenedData, loading: LoadingThreads, metrics: ClientMetrics) -> LocalData:
    training, evaluation = data
    return LocalData(
        Prefetcher(training, loading, metrics.observe_load),
        None if evaluation is None else Prefetcher(evaluation, loading, lambda _: None),
    )


async def _serve(  # noqa: PLR0913, PLR0917 - assembles the parts of the process
    data: LocalData,
    model: ClientModel,
    hello: wire.Hello,
    torch_thread: TorchThread,
    options: ClientOptions,
    health: ClientHealth,
) -> ExitStatus:
    rng = _jitter(options)
    connecting = _connection(options, rng)
    return await run_with_reconnects(
        lambda: connecting(hello),
        lambda connection: execute_orders(ClientContext(data, model, torch_thread, connection)),
        health,
        back_off(rng),
        reconnect_after_interruption=options.reconnect_after_interruption,
    )


def _jitter(options: ClientOptions) -> random.Random:
    return random.Random(options.client_id)  # noqa: S311 - jitter of delays, not a secret


def _connection(
    options: ClientOptions, rng: random.Random
) -> Callable[[wire.Hello], AbstractAsyncContextManager[Stream]]:
    """Return a function that connects to the server with a Hello."""
    identity = renewed_from(options.identity) if options.identity else None
    return partial(
        connect, options.server, identity, timeout_seconds=options.connect_timeout_seconds, rng=rng
    )


@asynccontextmanager
async def _http_server(
    options: ClientOptions, registry: CollectorRegistry, health: ClientHealth
) -> AsyncIterator[None]:
    if options.http is None:
        yield
        return
    host, port = options.http
    http = HttpServer(host, port, registry, health.status, lambda: health.connected, time.time)
    http.start()
    try:
        async with in_background(health.run_heartbeat()):
            yield
    finally:
        http.stop()
