"""The server process from its start to its exit code."""

import asyncio
import errno
import json
import logging
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry

from pslgs.coordination.agreement import Agreement
from pslgs.coordination.effects import Finish
from pslgs.coordination.events import TICK_SECONDS
from pslgs.identity.renewal import renewed_from
from pslgs.lifecycle.last_words import Ending, LastWords
from pslgs.lifecycle.stopping import stop_reason
from pslgs.observability.http import HttpServer
from pslgs.observability.registry import ProcessRegistry
from pslgs.observability.status import Status
from pslgs.server import keeper
from pslgs.server.accounts import open_accounts
from pslgs.server.client_faults import ClientFaults
from pslgs.server.doorway import Doorway, Shape
from pslgs.server.options import ServerOptions
from pslgs.server.production import Production
from pslgs.server.run_folder import CHECKPOINTS, usable
from pslgs.server.scribe import Scribe
from pslgs.server.statements import ClassNames, Statements
from pslgs.spec.digest import job_digest
from pslgs.spec.errors import InputError
from pslgs.spec.exit_codes import ExitCode
from pslgs.spec.job import JobSpec, SplitTrainingJob
from pslgs.training.checkpoint import Checkpoint, CheckpointStore
from pslgs.training.torch_thread import TorchThread
from pslgs.wire.service import WireServer

GRACE_SECONDS = 5.0
ENDPOINTS_FILE = "endpoints.json"
T = TypeVar("T")
_logger = logging.getLogger(__name__)


async def serve(job: SplitTrainingJob, options: ServerOptions, words: LastWords) -> Ending:
    """Run the server of a job to its end; one that was interrupted goes on from its last checkpoint.

    /healthz and /status answer from the beginning, also while the checkpoint is read.  /readyz answers yes
    while clients can connect.  The process's last words are its status.

    Raises:
        InputError: the manifest, what it names, or the checkpoints cannot be used; this user may not write
            the run folder; or a port is in use.
        OSError: the run folder cannot be written for another reason.
    """
    registry = ProcessRegistry()
    run = usable(options.run)
    scribe = open_accounts(job, options, registry)
    words.described = lambda ending: described(scribe.status, ending)
    torch = TorchThread()
    try:
        with stop_reason(with_parent=options.with_parent) as stop:
            async with _reporting(options, scribe, registry) as front:
                store = CheckpointStore(run / CHECKPOINTS, job.spec.checkpoint.keep)
                with _failures_recorded(scribe):
                    checkpoint = await _unless_stopped(torch.run(keeper.load, store), stop)
                    if isinstance(checkpoint, Finish):
                        return Ending(checkpoint.exit_code, checkpoint.message)
                    _go_on(scribe, checkpoint, job.spec)
                faults = ClientFaults(scribe.metrics, time.monotonic)
                doorway = _doorway(job, options, faults)
                async with _listening(options, doorway, faults, front):
                    production = Production(job, options, scribe, faults, torch, store, checkpoint)
                    with _failures_recorded(scribe):
                        finish = await production.run(doorway, stop)
        return Ending(finish.exit_code, finish.message)
    finally:
        torch.close()
        scribe.close()


def described(status: Status, ending: Ending) -> dict[str, object]:
    """Make the last words of a server: its status after the ending, clients as counts."""
    counts = {state: len(names) for state, names in status.clients.items()}
    return {**status.ended(*ending).to_json(), **ending.to_json(), "clients": counts}


@dataclass(slots=True)
class _Front:
    """The HTTP port.

    Attributes:
        port: The port that answers.
        ready: Whether clients can connect, which /readyz answers.
    """

    port: int = 0
    ready: bool = False


@asynccontextmanager
async def _reporting(
    options: ServerOptions, scribe: Scribe, registry: CollectorRegistry
) -> AsyncIterator[_Front]:
    """Answer HTTP, and note every moment that the event loop runs."""
    front = _Front()
    host, port = options.http
    http = HttpServer(host, port, registry, lambda: scribe.status, lambda: front.ready, time.time)
    scribe.beat()
    front.port = _open(http, f"{host}:{port}")
    beating = asyncio.create_task(_beat(scribe))
    try:
        yield front
    finally:
        beating.cancel()
        http.stop()


async def _beat(scribe: Scribe) -> None:
    while True:
        scribe.beat()
        await asyncio.sleep(TICK_SECONDS)


def _go_on(scribe: Scribe, checkpoint: Checkpoint | None, spec: JobSpec) -> None:
    """Continue the accounts from a checkpoint, or begin them.

    Raises:
        InputError: the job may not go on from that checkpoint.
    """
    if checkpoint is None:
        scribe.go_on_after(0, {"figures": {}, "journal_bytes": 0})
        return
    for damage in checkpoint.damaged:
        _logger.warning("passed over a damaged checkpoint, %s", damage)
    _logger.info("going on from the checkpoint of step %d", checkpoint.step)
    scribe.go_on_after(checkpoint.step, checkpoint.state.get("progress"))
    keeper.check_resumable(checkpoint.step, checkpoint.state, spec)


async def _unless_stopped(work: Coroutine[Any, Any, T], stop: asyncio.Future[str]) -> T | Finish:
    """Wait for ``work``, but no longer than until the process is asked to stop."""
    working = asyncio.create_task(work)
    either: list[asyncio.Future[Any]] = [working, stop]
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if working.done():
        return working.result()
    working.cancel()
    await asyncio.wait({working})
    return Finish(ExitCode.INTERRUPTED, stop.result())


@contextmanager
def _failures_recorded(scribe: Scribe) -> Iterator[None]:
    """Record as the end of the run that the input cannot be used."""
    try:
        yield
    except InputError as error:
        # The clients that wait are told by the end of their streams, the operator by this record.
        scribe.finish(scribe.status.step, ExitCode.BAD_INPUT, str(error))
        raise


@asynccontextmanager
async def _listening(
    options: ServerOptions, doorway: Doorway, faults: ClientFaults, front: _Front
) -> AsyncIterator[None]:
    """Let clients connect."""
    identity = renewed_from(options.identity) if options.identity else None
    wire = WireServer(options.listen, identity, doorway.attend, refused=faults.refused)
    try:
        port = await wire.start()
    except OSError as error:
        raise _unavailable(options.listen, error) from error
    front.ready = True
    _logger.info("clients connect to port %d, metrics are on port %d", port, front.port)
    _write_endpoints(options.run, {"grpc": port, "http": front.port})
    try:
        yield
    finally:
        front.ready = False
        await wire.stop(GRACE_SECONDS)


def _doorway(job: SplitTrainingJob, options: ServerOptions, faults: ClientFaults) -> Doorway:
    tolerance, expected = job.spec.fault_tolerance, options.expected_clients
    settings = expected, tolerance.quorum(expected), float(tolerance.client_timeout_seconds)
    shapes = Statements(Agreement[Shape](*settings), time.monotonic)
    names = Statements(Agreement[tuple[str, ...]](*settings), time.monotonic)
    class_names = ClassNames(names, faults, job.spec.data.train.classes)
    return Doorway(job_digest(job.spec), shapes, class_names, faults)


def _open(http: HttpServer, address: str) -> int:
    try:
        return http.start()
    except OSError as error:
        raise _unavailable(address, error) from error


def _unavailable(address: str, error: OSError) -> InputError:
    if error.errno == errno.EADDRINUSE:
        return InputError.at("", f"the address {address} is in use by another process; choose another port")
    return InputError.at("", f"the address {address} cannot be listened at: {error.strerror or error}")


def _write_endpoints(run: Path, ports: dict[str, int]) -> None:
    """Tell whoever started this process where it listens; the file appears whole."""
    new = run / f"{ENDPOINTS_FILE}.new"
    new.write_text(json.dumps(ports), encoding="utf-8")
    new.replace(run / ENDPOINTS_FILE)
