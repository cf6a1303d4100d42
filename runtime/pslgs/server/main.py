"""The server process: opens its ports, restores the run, trains and exits."""

import asyncio
import errno
import gc
import json
import logging
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry

from pslgs.atomic_file import replacing
from pslgs.coordination.agreement import Agreement
from pslgs.coordination.messages import TICK_SECONDS, Finish
from pslgs.identity.identity import renewed_from
from pslgs.model_inputs import InputShape
from pslgs.process.signals import stop_reason
from pslgs.process.tasks import cancel_and_wait, in_background
from pslgs.process.termination_message import ExitStatus, TerminationMessage
from pslgs.server import run_checkpoint
from pslgs.server.client_faults import ClientFaults
from pslgs.server.options import ServerOptions
from pslgs.server.recorder import RunRecorder, open_recorder
from pslgs.server.run_checkpoint import prepare_run_folder
from pslgs.server.run_owner import claim_run_folder, only_server
from pslgs.server.session_handler import StartupGate
from pslgs.server.statements import ClassNames, Statements
from pslgs.server.training_server import TrainingServer
from pslgs.spec.digest import job_digest
from pslgs.spec.errors import InputError
from pslgs.spec.exit_codes import ExitCode
from pslgs.spec.job import JobSpec, SplitTrainingJob
from pslgs.spec.result_files import CHECKPOINTS
from pslgs.telemetry.client_view import no_faults
from pslgs.telemetry.http import HttpServer
from pslgs.telemetry.prometheus import ProcessRegistry
from pslgs.telemetry.status import Status
from pslgs.training.checkpoint import Checkpoint, CheckpointStore
from pslgs.training.torch_thread import TorchThread
from pslgs.transport.grpc_server import GrpcServer

GRACE_SECONDS = 5.0
COLLECTED_AFTER = 100_000
"""New objects after which a server collects garbage."""

ENDPOINTS_FILE = "endpoints.json"
T = TypeVar("T")
_logger = logging.getLogger(__name__)


async def run_server(
    job: SplitTrainingJob, options: ServerOptions, termination: TerminationMessage
) -> ExitStatus:
    """Run the server of a job to its end; an interrupted run continues from its last checkpoint.

    /healthz and /status answer from the beginning, also while the checkpoint is read.  /readyz succeeds only
    while clients can connect.  The termination message contains the final status.

    Raises:
        InputError: the manifest, its files or the checkpoints cannot be used; this user may not write to the
            run folder; or a port is in use.
        RunFolderInUse: another server writes to the run folder.
        OSError: the run folder cannot be written for another reason.
    """
    with only_server(prepare_run_folder(options.run)):
        return await _run_server(job, options, termination)


async def _run_server(
    job: SplitTrainingJob, options: ServerOptions, termination: TerminationMessage
) -> ExitStatus:
    registry, run = ProcessRegistry(), options.run
    claimed = claim_run_folder(run, options.job_uid, start_afresh=job.spec.checkpoint.start_afresh)
    recorder = open_recorder(job, options, registry)
    if notices := list(filter(None, (claimed, options.notice))):
        recorder.notice("; ".join(notices))
    termination.describe = lambda exit_status: describe_exit(recorder.status, exit_status)
    torch = TorchThread()
    try:
        with _rare_collections(), stop_reason(with_parent=options.with_parent) as stop:
            async with _serve_http(options, recorder, registry) as http_port:
                store = CheckpointStore(run / CHECKPOINTS, job.spec.checkpoint.keep)
                with _recording_bad_input(recorder):
                    checkpoint = await _unless_stopped(torch.run(run_checkpoint.load, store), stop)
                    if isinstance(checkpoint, Finish):
                        return ExitStatus(checkpoint.exit_code, checkpoint.message)
                    _resume_records(recorder, checkpoint, job.spec)
                faults = ClientFaults(recorder.metrics, time.monotonic)
                recorder.follow_faults(faults.latest)
                startup_gate = _startup_gate(job, options, faults)
                async with _serve_grpc(options, startup_gate, faults, http_port):
                    server = TrainingServer(job, options, recorder, faults, torch, store, checkpoint)
                    with _recording_bad_input(recorder):
                        finish = await server.run(startup_gate, stop)
        return ExitStatus(finish.exit_code, finish.message)
    finally:
        torch.close()
        recorder.close()


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Let garbage be collected less often than Python does by default, after 700 new objects.

    A step of a thousand clients makes tens of thousands of objects, which are free when it is over.  Looking
    through them meanwhile would only make them old, and the old ones are looked through with all clients.
    """
    young, *older = gc.get_threshold()
    gc.set_threshold(COLLECTED_AFTER, *older)
    try:
        yield
    finally:
        gc.set_threshold(young, *older)


def describe_exit(status: Status, exit_status: ExitStatus) -> dict[str, object]:
    """Return the termination message of a server: its final status, with counts of clients and no faults."""
    counts = {state: len(names) for state, names in status.clients.items()}
    ended = replace(status.ended(*exit_status), faults=no_faults)
    return {**ended.to_json(), **exit_status.to_json(), "clients": counts}


@dataclass(slots=True)
class _HttpPort:
    """The HTTP port.

    Attributes:
        port: The port that is listened at.
        ready: Whether clients can connect, as /readyz reports.
    """

    port: int = 0
    ready: bool = False


@asynccontextmanager
async def _serve_http(
    options: ServerOptions, recorder: RunRecorder, registry: CollectorRegistry
) -> AsyncIterator[_HttpPort]:
    """Serve HTTP, and record heartbeats of the event loop."""
    http_port = _HttpPort()
    host, port = options.http
    http = HttpServer(host, port, registry, lambda: recorder.status, lambda: http_port.ready, time.time)
    recorder.beat()
    http_port.port = _start_http(http, f"{host}:{port}")
    try:
        async with in_background(_beat(recorder)):
            yield http_port
    finally:
        http.stop()


async def _beat(recorder: RunRecorder) -> None:
    while True:
        recorder.beat()
        await asyncio.sleep(TICK_SECONDS)


def _resume_records(recorder: RunRecorder, checkpoint: Checkpoint | None, spec: JobSpec) -> None:
    """Continue journal and status from a checkpoint, or begin them.

    Raises:
        InputError: the job cannot continue from that checkpoint.
    """
    if checkpoint is None:
        recorder.resume_after(0, {"figures": {}, "journal_bytes": 0})
        return
    for damage in checkpoint.damaged:
        _logger.warning("ignored a damaged checkpoint, %s", damage)
    _logger.info("resuming from the checkpoint of step %d", checkpoint.step)
    recorder.resume_after(checkpoint.step, checkpoint.state.get("progress"))
    run_checkpoint.check_resumable(checkpoint.step, checkpoint.state, spec)


async def _unless_stopped(work: Coroutine[Any, Any, T], stop: asyncio.Future[str]) -> T | Finish:
    """Wait for ``work``, but no longer than until the process is asked to stop."""
    working = asyncio.create_task(work)
    either: list[asyncio.Future[Any]] = [working, stop]
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if working.done():
        return working.result()
    await cancel_and_wait(working)
    return Finish(ExitCode.INTERRUPTED, stop.result())


@contextmanager
def _recording_bad_input(recorder: RunRecorder) -> Iterator[None]:
    """Record unusable input as the end of the run."""
    try:
        yield
    except InputError as error:
        # Waiting clients learn it from the status of their streams, the operator from this record.
        recorder.finish(recorder.status.step, ExitCode.BAD_INPUT, str(error))
        raise


@asynccontextmanager
async def _serve_grpc(
    options: ServerOptions, startup_gate: StartupGate, faults: ClientFaults, http_port: _HttpPort
) -> AsyncIterator[None]:
    """Serve clients over gRPC."""
    identity = renewed_from(options.identity) if options.identity else None
    grpc_server = GrpcServer(
        options.listen,
        identity,
        startup_gate.handle,
        on_refused=faults.refused,
        refusal_delay=faults.refusal_delay,
    )
    try:
        port = await grpc_server.start()
    except OSError as error:
        raise _unavailable(options.listen, error) from error
    http_port.ready = True
    _logger.info("clients connect to port %d, metrics are on port %d", port, http_port.port)
    _write_endpoints(options.run, {"grpc": port, "http": http_port.port})
    try:
        async with in_background(grpc_server.watch_connections()):
            yield
    finally:
        http_port.ready = False
        await grpc_server.stop(GRACE_SECONDS)


def _startup_gate(job: SplitTrainingJob, options: ServerOptions, faults: ClientFaults) -> StartupGate:
    tolerance, expected = job.spec.fault_tolerance, options.expected_clients
    settings = expected, tolerance.quorum(expected), float(tolerance.client_timeout_seconds)
    shapes = Statements(Agreement[InputShape](*settings), time.monotonic)
    names = Statements(Agreement[tuple[str, ...]](*settings), time.monotonic)
    class_names = ClassNames(names, faults, job.spec.data.class_names)
    return StartupGate(job_digest(job.spec), shapes, class_names, faults, job.spec.data.inputs)


def _start_http(http: HttpServer, address: str) -> int:
    try:
        return http.start()
    except OSError as error:
        raise _unavailable(address, error) from error


def _unavailable(address: str, error: OSError) -> InputError:
    if error.errno == errno.EADDRINUSE:
        return InputError.at("", f"the address {address} is in use by another process; choose another port")
    return InputError.at("", f"the address {address} cannot be listened at: {error.strerror or error}")


def _write_endpoints(run: Path, ports: dict[str, int]) -> None:
    """Write the ports into the run folder; the file appears complete."""
    with replacing(run / ENDPOINTS_FILE) as new:
        new.write_text(json.dumps(ports), encoding="utf-8")
