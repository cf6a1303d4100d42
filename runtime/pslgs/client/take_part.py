"""The client process from its start to its exit code."""

import asyncio
import logging
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from prometheus_client import CollectorRegistry

from pslgs.client.attend import attend
from pslgs.client.options import ClientOptions
from pslgs.client.participation import Tools
from pslgs.client.worker import Holdings, Worker
from pslgs.data.local import LocalDataset
from pslgs.data.opening import TRAINING, open_evaluation_data, open_training_data
from pslgs.identity.renewal import renewed_from
from pslgs.lifecycle.last_words import Ending
from pslgs.lifecycle.stopping import stop_reason
from pslgs.observability.http import HttpServer
from pslgs.observability.metrics import ClientMetrics
from pslgs.observability.registry import ProcessRegistry
from pslgs.spec.data import EvaluationPlace
from pslgs.spec.digest import job_digest
from pslgs.spec.exit_codes import ExitCode
from pslgs.spec.job import JobSpec
from pslgs.training.client_step import ClientStep
from pslgs.training.fitness import check_dataset
from pslgs.training.task import build_task
from pslgs.training.torch_thread import TorchThread
from pslgs.wire.channel import connect
from pslgs.wire.codec import codec_for
from pslgs.wire.dialling import back_off
from pslgs.wire.errors import ProtocolViolation, Refused, StreamEnded, Unreachable
from pslgs.wire.v1 import training_pb2 as wire

ORPHAN_GRACE_SECONDS = 10.0
"""For the server to end the session once the process that started both has ended.

A client that left first would be lost to a server that has not noticed yet, and that might take another step
without it; the resumed run would then differ from an undisturbed one.
"""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ClientStatus:
    """What a client's /status shows."""

    client: str
    heartbeat: float

    def to_json(self) -> dict[str, object]:
        """Return what is shown."""
        return {"client": self.client, "heartbeat": self.heartbeat}


async def take_part(spec: JobSpec, options: ClientOptions) -> Ending:
    """Serve a job with this client's data until the server says that it is over.

    One that stays outlasts its servers: it keeps its data at hand for the one that resumes the job.

    Raises:
        InputError: the data, the model or the certificate cannot be used.
    """
    registry = ProcessRegistry()
    torch_thread = TorchThread()
    try:
        with (
            _metrics_port(options, registry),
            stop_reason(with_parent=options.with_parent, parent_grace=ORPHAN_GRACE_SECONDS) as stop,
        ):
            worker, hello = await torch_thread.run(prepare, spec, options, ClientMetrics(registry))
            serving = asyncio.create_task(_serve(worker, hello, torch_thread, options))
            either: list[asyncio.Future[Any]] = [serving, stop]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                return serving.result()
            serving.cancel()
            await asyncio.wait({serving})
            _logger.info("%s", stop.result())
            return Ending(ExitCode.INTERRUPTED, stop.result())
    finally:
        torch_thread.close()


def prepare(spec: JobSpec, options: ClientOptions, metrics: ClientMetrics) -> tuple[Worker, wire.Hello]:
    """Open the data, build the client part, and write down what the server must know of them.

    Raises:
        InputError: the data or the model cannot be used, or do not fit each other.
    """
    training, evaluation = _open(spec, options)
    task, network = build_task(spec, spec.model.input_shape or training.input_shape)
    check_dataset(task, training, TRAINING)
    encoding = codec_for(spec.transport.compression, task.layout.features, task.layout.dtype)
    hello = wire.Hello(
        client_id=options.client_id,
        job_digest=job_digest(spec),
        samples=training.samples,
        label_counts=task.objective.class_counts(task.objective.as_labels(torch.from_numpy(training.labels))),
        class_names=training.class_names or (),
        input_shape=task.input_shape,
        evaluation_samples=evaluation.samples if evaluation else 0,
    )
    held = Holdings(training, evaluation)
    step = ClientStep(task, network.client_part, options.client_id)
    return Worker(task, encoding, step, held, metrics), hello


def _open(spec: JobSpec, options: ClientOptions) -> tuple[LocalDataset, LocalDataset | None]:
    name, index, seed = options.client_id, options.partition_index, spec.sampling.seed
    training = open_training_data(
        spec.data, client_id=name, partition_index=index, seed=seed, cache=options.cache
    )
    if spec.data.evaluation is None or spec.data.evaluation.at is not EvaluationPlace.CLIENTS:
        return training, None
    evaluation = open_evaluation_data(
        spec.data, client_id=name, partition_index=index, seed=seed, cache=options.cache
    )
    return training, evaluation


async def _serve(
    worker: Worker, hello: wire.Hello, torch_thread: TorchThread, options: ClientOptions
) -> Ending:
    identity = renewed_from(options.identity) if options.identity else None
    rng = random.Random(options.client_id)  # noqa: S311 - spreads attempts over time, no secret
    delays = back_off(rng)
    while True:
        retry_seconds = 0.0
        try:
            async with connect(
                options.server, identity, hello, patience_seconds=options.patience, rng=rng
            ) as connection:
                ending = await attend(Tools(worker, torch_thread, connection))
            if ending.exit_code is not ExitCode.INTERRUPTED or not options.stays:
                _logger.info("the job is over: %s", ending.message)
                return ending
            _logger.info("the server was interrupted (%s); looking for the next one", ending.message)
        except Refused as error:
            return _given_up(ExitCode.REFUSED, f"the server refuses this client: {error.details}")
        except Unreachable as error:
            return _given_up(ExitCode.SERVER_UNREACHABLE, str(error))
        except ProtocolViolation as error:
            return _given_up(ExitCode.INTERNAL_ERROR, f"the server broke the protocol: {error}")
        except StreamEnded as error:
            retry_seconds = error.retry_seconds
            _logger.warning("lost the server: %s; looking for it again", error)
        # A server that ends every stream at once must not be called in a hot loop.
        await asyncio.sleep(max(next(delays), retry_seconds))


def _given_up(exit_code: ExitCode, reason: str) -> Ending:
    _logger.warning("%s", reason)
    return Ending(exit_code, reason)


@contextmanager
def _metrics_port(options: ClientOptions, registry: CollectorRegistry) -> Iterator[None]:
    if options.http is None:
        yield
        return
    host, port = options.http
    http = HttpServer(
        host, port, registry, lambda: ClientStatus(options.client_id, time.time()), lambda: True, time.time
    )
    http.start()
    try:
        yield
    finally:
        http.stop()
