"""Run a job on this machine: issue certificates, start server and clients, and supervise them to the end."""

import asyncio
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pslgs.identity.authority import CertificateAuthority
from pslgs.launch.local_clients import LocalClient
from pslgs.launch.processes import FORK_SERVER_ENDED, Child, Entry
from pslgs.launch.progress import ProgressView, fetch_status
from pslgs.launch.run_folder import JOB_FILE, Cores
from pslgs.launch.scratch_folder import scratch_folder
from pslgs.process.signals import signal_of, stop_reason
from pslgs.process.tasks import task_group
from pslgs.spec import ExitCode, InputError, JobSpec, Tls
from pslgs.spec.exit_codes import described_end

_CLIENTS: Final = "clients"
_SERVER_LOG: Final = "server.log"
_CERTIFICATE_LIFETIME: Final = timedelta(days=365)
_POLL_SECONDS: Final = 0.25
_SERVER_GRACE_SECONDS: Final = 30.0
_CLIENT_GRACE_SECONDS: Final = 10.0
_CLIENT_EXIT_SECONDS: Final = 2.0
"""Time that clients have to exit by themselves after the server has ended."""
_FORK_SERVER_MESSAGE: Final = (
    "the process from which server and clients were forked has ended, so these stop, too; resume the run"
)
_PERMANENT_FAILURES: Final = frozenset({ExitCode.BAD_INPUT, ExitCode.REFUSED})
"""Exit codes of a client that cannot take part in the job."""


@dataclass(frozen=True, slots=True)
class LocalRun:
    """A job to run, and how to run it on this machine.

    Attributes:
        name: Name of the job.
        spec: Section ``spec`` of the manifest.
        clients: The clients to start.
        folder: Folder of the run, which contains the manifest.
        cache: Folder that caches converted datasets.
        cores: Number of cores of each process.
        http_port: Port of the server's metrics and status.
        entry: Entry point of the processes, which accepts the commands ``server`` and ``client``.
        device: Name of the server's device, see `choose_device`; clients compute on the CPU.
        debug: Whether the processes print tracebacks of errors, which then precede the messages.
    """

    name: str
    spec: JobSpec
    clients: Sequence[LocalClient]
    folder: Path
    cache: Path
    cores: Cores
    http_port: int
    entry: Entry
    device: str = "auto"
    debug: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of a run.

    Attributes:
        exit_code: Exit code of the run.
        messages: Warnings of the server, or, of a run that failed, messages of the process that caused it.
    """

    exit_code: int
    messages: Sequence[str]


async def run_locally(run: LocalRun, view: ProgressView) -> Outcome:
    """Start the server and the clients, show their progress, and wait for their end.

    On SIGINT or SIGTERM the server is stopped; it saves a checkpoint and ends the clients' sessions.
    """
    with scratch_folder() as identities, stop_reason(with_parent=False) as stop:
        _issue_certificates(identities, run.name, [client.client_id for client in run.clients])
        server, clients = _children(run, identities, free_port())
        try:
            code = await _supervise(run, view, stop, server, clients)
            return _outcome(code, server, clients)
        finally:
            await asyncio.gather(*(child.stop(_CLIENT_GRACE_SECONDS) for child in (server, *clients)))


def free_port() -> int:
    """Return a TCP port of the loopback interface that is free at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def check_port(port: int, option: str) -> None:
    """Check that a TCP port of the loopback interface is free.

    Args:
        port: The port.
        option: Option that the port was given with, for the error message.

    Raises:
        InputError: the port cannot be listened at.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise InputError.at(
                option, f"port {port} cannot be listened at ({error.strerror}); choose another one, or 0"
            ) from error


def _issue_certificates(folder: Path, name: str, clients: Iterable[str]) -> None:
    """Create a certificate authority, and save identities in ``server`` and ``clients/<id>``."""
    now = datetime.now(UTC)
    authority = CertificateAuthority.create(name, now, _CERTIFICATE_LIFETIME)
    authority.issue_server(["localhost", "127.0.0.1"], now, _CERTIFICATE_LIFETIME).save(folder / "server")
    for client in clients:
        authority.issue_client(client, now, _CERTIFICATE_LIFETIME).save(folder / _CLIENTS / client)


def _children(run: LocalRun, identities: Path, port: int) -> tuple[Child, list[Child]]:
    """Define the processes of the server, which listens at ``port``, and of the clients."""
    job, logs = str(run.folder / JOB_FILE), run.folder / "logs"
    logs.mkdir(exist_ok=True)

    def child(log: str, cores: int, identity: str, *command: str) -> Child:
        tls = () if run.spec.transport.tls is Tls.DISABLED else ("--identity", str(identities / identity))
        debug = ("--debug",) if run.debug else ()
        return Child(run.entry, [*debug, *command, *tls, "--cache", str(run.cache)], logs / log, cores)

    server = child(
        *(_SERVER_LOG, run.cores.server, "server"),
        *("server", job, "--run", str(run.folder), "--clients", str(len(run.clients))),
        *("--device", run.device),
        *("--listen", f"127.0.0.1:{port}", "--http", f"127.0.0.1:{run.http_port}"),
    )
    clients = [
        child(
            *(_log_of(client.client_id), run.cores.client, f"{_CLIENTS}/{client.client_id}"),
            *("client", job, "--id", client.client_id, "--server", f"127.0.0.1:{port}"),
            *(() if client.partition_index is None else ("--share", str(client.partition_index))),
        )
        for client in run.clients
    ]
    return server, clients


def _log_of(client: str) -> str:
    """Name the log of a client, which may be called ``server``."""
    return f"{client}.log" if f"{client}.log" != _SERVER_LOG else f"client {client}.log"


async def _supervise(
    run: LocalRun, view: ProgressView, stop: asyncio.Future[str], server: Child, clients: Sequence[Child]
) -> int:
    """Run the processes until the server has ended, and return its exit code.

    The server is stopped once a client has ended with a permanent failure.
    """
    async with task_group() as tasks:
        server_run = tasks.create_task(server.run_with_restarts(0))
        restarts = run.spec.backoff_limit
        client_runs = [tasks.create_task(client.run_with_restarts(restarts)) for client in clients]
        failing = tasks.create_task(_wait_for_permanent_failure(client_runs))
        auxiliary: list[asyncio.Task[None]] = [
            tasks.create_task(_stop_on_request(server, stop)),
            tasks.create_task(_show_progress(run.http_port, view)),
            failing,
        ]
        awaited: list[asyncio.Future[Any]] = [server_run, failing]
        await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
        if not server_run.done():
            await server.stop(_SERVER_GRACE_SECONDS)
        for task in auxiliary:
            task.cancel()
        await asyncio.wait(client_runs, timeout=_CLIENT_EXIT_SECONDS)
        for client_run in client_runs:
            client_run.cancel()
        return await server_run


async def _stop_on_request(server: Child, stop: asyncio.Future[str]) -> None:
    reason = await asyncio.shield(stop)
    await server.stop(_SERVER_GRACE_SECONDS, signal_of(reason))


async def _show_progress(port: int, view: ProgressView) -> None:
    while True:
        status = await asyncio.to_thread(fetch_status, port)
        if status is not None:
            view.show(status)
        await asyncio.sleep(_POLL_SECONDS)


async def _wait_for_permanent_failure(client_runs: Sequence[asyncio.Task[int]]) -> None:
    """Return when a client has ended with a permanent failure; wait until cancelled if none does."""
    for ended in asyncio.as_completed(client_runs):
        if await ended in _PERMANENT_FAILURES:
            return
    await asyncio.Event().wait()


def _outcome(code: int, server: Child, clients: Sequence[Child]) -> Outcome:
    """Return the outcome: the server's if it failed, or else that of a client with a permanent failure.

    A client that cannot use its data or code tells the server, whose message then names the client; other
    clients end with the server's exit code.
    """
    if code == FORK_SERVER_ENDED:
        return Outcome(ExitCode.INTERNAL_ERROR, [_FORK_SERVER_MESSAGE])
    tracebacks = [line for child in (server, *clients) for line in child.traceback()]
    if code not in {ExitCode.FINISHED, ExitCode.INTERRUPTED}:
        messages = [*tracebacks, *server.failure_messages()]
        if code < 0:
            killed = f"error: the server {described_end(code)}; `--resume` goes on from its last checkpoint"
            return Outcome(ExitCode.INTERNAL_ERROR, [*messages, killed])
        return Outcome(code, messages)
    for client in clients:
        if client.exit_code in _PERMANENT_FAILURES:
            return Outcome(client.exit_code or code, [*tracebacks, *client.failure_messages()])
    return Outcome(code, server.warnings())
