"""A run on this machine: certificates, ports and processes, from start to report."""

import asyncio
import socket
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pslgs.identity.authority import CertificateAuthority
from pslgs.launch.processes import Child, Entry
from pslgs.launch.progress import ProgressView, fetch_status
from pslgs.launch.run_folder import JOB_FILE, Cores
from pslgs.launch.sites import Site
from pslgs.process.signals import stop_reason
from pslgs.process.task_group import task_group
from pslgs.spec import ExitCode, InputError, JobSpec, Tls

_LIFETIME = timedelta(days=365)


def issue(folder: Path, name: str, clients: Iterable[str]) -> None:
    """Make an authority and put identities into ``folder``: ``server`` and one named after each client."""
    now = datetime.now(UTC)
    authority = CertificateAuthority.create(name, now, _LIFETIME)
    authority.issue_server(["localhost", "127.0.0.1"], now, _LIFETIME).save(folder / "server")
    for client in clients:
        authority.issue_client(client, now, _LIFETIME).save(folder / client)


def free_port() -> int:
    """Find a port of the loopback interface that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def check_port(port: int, option: str) -> None:
    """Make sure that nobody listens at a port of the loopback interface.

    Raises:
        InputError: somebody does.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise InputError.at(
                option, f"port {port} cannot be listened at ({error.strerror}); choose another one, or 0"
            ) from error


_POLL_SECONDS = 0.25
_SERVER_GRACE_SECONDS = 30.0
_CLIENT_GRACE_SECONDS = 10.0
_FAREWELL_SECONDS = 2.0
"""For clients that the server has told of the end; one that looks for the server is stopped after it."""

_LASTING = frozenset({ExitCode.BAD_INPUT, ExitCode.REFUSED})


@dataclass(frozen=True, slots=True)
class LocalRun:
    """What is to be run.

    Attributes:
        name: Of the job.
        spec: What is wanted.
        sites: The clients.
        folder: Of the run; the manifest is in it.
        cache: For converted datasets.
        cores: Of each process.
        http_port: Of metrics and status.
        entry: Entry point of the processes, which take the commands ``server`` and ``client``.
        device: Name of the server's device, see `choose_device`; clients compute on the CPU.
    """

    name: str
    spec: JobSpec
    sites: Sequence[Site]
    folder: Path
    cache: Path
    cores: Cores
    http_port: int
    entry: Entry
    device: str = "auto"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: an exit code, and what the process that decided it warned of or said last."""

    exit_code: int
    last_words: Sequence[str]


async def run_locally(plan: LocalRun, view: ProgressView) -> Outcome:
    """Start the server and the clients, show their progress, and see them to their end.

    Ctrl-C stops the server, which keeps what was reached and tells the clients.
    """
    with tempfile.TemporaryDirectory(prefix="pslgs-") as scratch, stop_reason(with_parent=False) as stop:
        issue(Path(scratch), plan.name, [site.client_id for site in plan.sites])
        server, clients = _children(plan, Path(scratch), free_port())
        try:
            async with task_group() as tasks:
                running = tasks.create_task(server.tend(0))
                tended = [tasks.create_task(each.tend(plan.spec.backoff_limit)) for each in clients]
                stopping = tasks.create_task(_stop(server, stop))
                watching = tasks.create_task(_watch(plan.http_port, view))
                failing = tasks.create_task(_first_failure(tended))
                either: list[asyncio.Future[Any]] = [running, failing]
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                if not running.done():
                    await server.stop(_SERVER_GRACE_SECONDS)
                for beside in (stopping, watching, failing):
                    beside.cancel()
                await asyncio.wait(tended, timeout=_FAREWELL_SECONDS)
                for client in tended:
                    client.cancel()
            return _outcome(await running, server, clients)
        finally:
            await asyncio.gather(*(child.stop(_CLIENT_GRACE_SECONDS) for child in (server, *clients)))


def _children(plan: LocalRun, identities: Path, port: int) -> tuple[Child, list[Child]]:
    job, logs = str(plan.folder / JOB_FILE), plan.folder / "logs"
    logs.mkdir(exist_ok=True)
    shared = ["--cache", str(plan.cache)]

    def identity(name: str) -> list[str]:
        return [] if plan.spec.transport.tls is Tls.DISABLED else ["--identity", str(identities / name)]

    server = Child(
        plan.entry,
        [
            *("server", job, "--run", str(plan.folder), "--clients", str(len(plan.sites))),
            *("--device", plan.device),
            *("--listen", f"127.0.0.1:{port}", "--http", f"127.0.0.1:{plan.http_port}"),
            *identity("server"),
            *shared,
        ],
        logs / "server.log",
        plan.cores.server,
    )
    clients = [
        Child(
            plan.entry,
            [
                *("client", job, "--id", site.client_id, "--server", f"127.0.0.1:{port}"),
                *([] if site.share is None else ["--share", str(site.share)]),
                *identity(site.client_id),
                *shared,
            ],
            logs / f"{site.client_id}.log",
            plan.cores.client,
        )
        for site in plan.sites
    ]
    return server, clients


async def _stop(server: Child, stop: asyncio.Future[str]) -> None:
    await asyncio.shield(stop)
    await server.stop(_SERVER_GRACE_SECONDS)


async def _watch(port: int, view: ProgressView) -> None:
    while True:
        status = await asyncio.to_thread(fetch_status, port)
        if status is not None:
            view.show(status)
        await asyncio.sleep(_POLL_SECONDS)


async def _first_failure(tended: Sequence[asyncio.Task[int]]) -> None:
    """Return once a client has ended for a reason that will not go away; wait forever if none does."""
    for ended in asyncio.as_completed(tended):
        if await ended in _LASTING:
            return
    await asyncio.Event().wait()


def _outcome(code: int, server: Child, clients: Sequence[Child]) -> Outcome:
    """Name the cause: a client that cannot take part is why the server was stopped."""
    for client in clients:
        if client.exit_code in _LASTING:
            return Outcome(client.exit_code or code, client.last_words())
    good = code in {ExitCode.FINISHED, ExitCode.INTERRUPTED}
    words = server.warnings() if good else server.last_words()
    return Outcome(code if code >= 0 else ExitCode.INTERNAL_ERROR, words)
