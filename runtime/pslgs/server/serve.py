"""The server process from its start to its exit code."""

import asyncio
import errno
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry

from pslgs.coordination.agreement import Agreement
from pslgs.coordination.effects import Finish
from pslgs.identity.renewal import renewed_from
from pslgs.lifecycle.last_words import Ending, LastWords
from pslgs.lifecycle.stopping import stop_reason
from pslgs.observability.http import HttpServer
from pslgs.observability.registry import ProcessRegistry
from pslgs.observability.status import Status
from pslgs.server.accounts import open_accounts
from pslgs.server.client_faults import ClientFaults
from pslgs.server.doorway import Doorway, Shape
from pslgs.server.options import ServerOptions
from pslgs.server.production import Production
from pslgs.server.run_folder import usable
from pslgs.server.scribe import Scribe
from pslgs.server.statements import ClassNames, Statements
from pslgs.spec.digest import job_digest
from pslgs.spec.errors import InputError
from pslgs.spec.exit_codes import ExitCode
from pslgs.spec.job import SplitTrainingJob
from pslgs.training.checkpoint import CheckpointStore
from pslgs.training.torch_thread import TorchThread
from pslgs.wire.service import WireServer

GRACE_SECONDS = 5.0
CHECKPOINTS = "checkpoints"
ENDPOINTS_FILE = "endpoints.json"
_logger = logging.getLogger(__name__)


async def serve(job: SplitTrainingJob, options: ServerOptions, words: LastWords) -> Ending:
    """Run the server of a job to its end; one that was interrupted goes on from its last checkpoint.

    Its last words are its status, as soon as it has one.

    Raises:
        InputError: the manifest, or what it names, cannot be used; this user may not write the run folder; or
            a port is in use.
        CheckpointError: there are checkpoints, and none can be read.
        OSError: the run folder cannot be written for another reason.
    """
    store = CheckpointStore(usable(options.run) / CHECKPOINTS, job.spec.checkpoint.keep)
    checkpoint = store.load_latest()
    registry = ProcessRegistry()
    scribe = open_accounts(job, options, checkpoint, registry)
    words.described = lambda ending: described(scribe.status, ending)
    torch = TorchThread()
    try:
        with stop_reason(with_parent=options.with_parent) as stop:
            faults = ClientFaults(scribe.metrics, time.monotonic)
            doorway = _doorway(job, options, faults)
            async with _listening(options, doorway, scribe, faults, registry):
                production = Production(job, options, scribe, faults, torch, store, checkpoint)
                finish = await _to_the_end(production, doorway, stop, scribe)
        return Ending(finish.exit_code, finish.message)
    finally:
        torch.close()
        scribe.close()


def described(status: Status, ending: Ending) -> dict[str, object]:
    """Make the last words of a server: its status after the ending, clients as counts."""
    counts = {state: len(names) for state, names in status.clients.items()}
    return {**status.ended(*ending).to_json(), **ending.to_json(), "clients": counts}


async def _to_the_end(
    production: Production, doorway: Doorway, stop: asyncio.Future[str], scribe: Scribe
) -> Finish:
    try:
        return await production.run(doorway, stop)
    except InputError as error:
        # The clients that wait are told by the end of their streams, the operator by this record.
        scribe.finish(scribe.status.step, ExitCode.BAD_INPUT, str(error))
        raise


@asynccontextmanager
async def _listening(
    options: ServerOptions,
    doorway: Doorway,
    scribe: Scribe,
    faults: ClientFaults,
    registry: CollectorRegistry,
) -> AsyncIterator[None]:
    identity = renewed_from(options.identity) if options.identity else None
    wire = WireServer(options.listen, identity, doorway.attend, refused=faults.refused)
    host, port = options.http
    http = HttpServer(host, port, registry, lambda: scribe.status, lambda: True, time.time)
    scribe.beat()
    http_port = _open(http, f"{host}:{port}")
    try:
        try:
            wire_port = await wire.start()
        except OSError as error:
            raise _unavailable(options.listen, error) from error
        _logger.info("clients connect to port %d, metrics are on port %d", wire_port, http_port)
        _write_endpoints(options.run, {"grpc": wire_port, "http": http_port})
        try:
            yield
        finally:
            await wire.stop(GRACE_SECONDS)
    finally:
        http.stop()


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
