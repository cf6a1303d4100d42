"""A server that trains with honest clients, for hostile ones to attack, in a thread of its own."""

import asyncio
import json
import random
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hostile.client import Known, answer, gradient, hello
from pslgs.identity.authority import CertificateAuthority
from pslgs.process.termination_message import ExitStatus, TerminationMessage
from pslgs.server import main as server_process
from pslgs.server.options import ServerOptions
from pslgs.server.recorder import RunRecorder, open_recorder
from pslgs.spec import parse_job
from pslgs.spec.digest import job_digest
from pslgs.telemetry.records import StepRecord
from pslgs.training.setup import build_setup
from pslgs.transport import grpc_server
from pslgs.transport.client_connection import connect
from pslgs.transport.errors import StreamEnded
from pslgs.transport.messages import EncodedFrame
from pslgs.transport.stream import Stream
from pslgs.transport.v1.training_pb2 import Forward, Tensor
from server.fakes import INPUTS, tiny_document

HONEST = ("honest-0", "honest-1")
SAMPLES = 2000
THINK_SECONDS = 0.005
"""Time that an honest client takes for an answer."""

PATIENCE = 20.0
"""Maximum seconds of any wait."""

HELLO_SECONDS = 1.0
"""Time within which a Hello has to come, in place of 10 s."""


class Victim:
    """A server with two honest clients that trains for as long as the block runs.

    Attributes:
        steps: Number of committed steps.
        http: Address of its HTTP port.
    """

    def __init__(self, folder: Path, attackers: Sequence[str], **fault_tolerance: Any) -> None:
        """Prepare a server.

        Args:
            folder: For its files and the certificates.
            attackers: Names of hostile clients, which get certificates of the job's authority.
            fault_tolerance: `spec.faultTolerance`.
        """
        now, day = datetime.now(UTC), timedelta(days=1)
        authority = CertificateAuthority.create("job", now, day)
        authority.issue_server(["127.0.0.1", "localhost"], now, day).save(folder / "server")
        for name in (*HONEST, *attackers):
            authority.issue_client(name, now, day).save(folder / name)
        document = tiny_document(
            epochs=100_000,
            sampling={"globalBatchSize": 16, "seed": 1},
            faultTolerance={"clientTimeoutSeconds": 1} | fault_tolerance,
        )
        self.steps = 0
        self.http = ""
        self._folder = folder
        self._job = parse_job(document)
        task, _ = build_setup(self._job.spec, (INPUTS,))
        self._row_bytes, self._gradient_bytes = (
            task.layout.bytes_per_sample,
            4 * task.client_gradient_elements,
        )
        self._changed = threading.Condition()
        self._port = 0
        self._ended: ExitStatus | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Future[str] | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="victim", daemon=True)

    def __enter__(self) -> "Victim":
        self._thread.start()
        self.wait_for(lambda: self.steps > 5)
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._stop is not None:
            with suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._stop.set_result, "the test is over")
        self._thread.join(PATIENCE)

    def known(self, name: str) -> Known:
        """Return what a client of that name knows of the job, and its certificate."""
        return Known(
            name=name,
            folder=self._folder / name,
            port=self._port,
            digest=job_digest(self._job.spec),
            inputs=INPUTS,
            row_bytes=self._row_bytes,
            gradient_bytes=self._gradient_bytes,
        )

    def wait_for(self, true: Callable[[], bool]) -> None:
        """Wait until something is true, which is looked at after each step; the training must not end."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._ended is not None or true(), PATIENCE)
        assert self._ended is None, self._ended

    def wait_for_steps(self, count: int) -> None:
        """Wait until further steps are committed."""
        until = self.steps + count
        self.wait_for(lambda: self.steps >= until)

    def wait_for_end(self) -> ExitStatus:
        """Wait until the training ends."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._ended is not None, PATIENCE)
        assert self._ended is not None
        return self._ended

    def get(self, page: str) -> str:
        """Read a page of the HTTP port."""
        with urllib.request.urlopen(f"{self.http}/{page}", timeout=PATIENCE) as response:  # noqa: S310
            return str(response.read().decode())

    def status(self) -> dict[str, Any]:
        """Read /status."""
        return dict(json.loads(self.get("status")))

    def wait_for_honest_clients(self) -> None:
        """Wait until all honest clients are connected; one that was late on a busy machine returns."""
        self._wait_for_status(lambda status: {*HONEST} <= {*status["clients"]["live"]})

    def wait_for_fault(self, name: str, *reasons: str) -> None:
        """Wait until the status names a client with one of the reasons, or as excluded after it."""
        expected = {(name, each) for each in (*reasons, "excluded", "Excluded")}
        self._wait_for_status(lambda status: bool(expected & _faults(status)))

    def faults(self) -> set[tuple[str, str]]:
        """Return the clients whose faults the status shows, with the reason of the last one."""
        return _faults(self.status())

    def _wait_for_status(self, true: Callable[[dict[str, Any]], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not true(status := self.status()):
            assert time.monotonic() < deadline, status
            self.wait_for_steps(1)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = self._loop.create_future()
        ports: asyncio.Future[dict[str, int]] = self._loop.create_future()
        run, server = self._folder / "run", self._folder / "server"
        options = ServerOptions(
            "127.0.0.1:0", ("127.0.0.1", 0), server, run, run / "cache", len(HONEST), device="cpu"
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(server_process, "stop_reason", self._stop_reason)
            patch.setattr(server_process, "open_recorder", self._open_recorder)
            patch.setattr(server_process, "_write_endpoints", lambda _, found: ports.set_result(found))
            patch.setattr(grpc_server, "HELLO_TIMEOUT_SECONDS", HELLO_SECONDS)
            serving = asyncio.create_task(server_process.run_server(self._job, options, TerminationMessage()))
            found = await ports
            self._port, self.http = found["grpc"], f"http://127.0.0.1:{found['http']}"
            honest = [asyncio.create_task(take_part(self.known(name), SAMPLES)) for name in HONEST]
            ended = await serving
            for each in honest:
                each.cancel()
            await asyncio.gather(*honest, return_exceptions=True)
        with self._changed:
            self._ended = ended
            self._changed.notify_all()

    @contextmanager
    def _stop_reason(self, **_: Any) -> Iterator[asyncio.Future[str]]:
        assert self._stop is not None
        yield self._stop

    def _open_recorder(self, *given: Any) -> RunRecorder:
        recorder = open_recorder(*given)
        write = recorder.write

        def write_and_count(record: Any) -> None:
            write(record)
            with self._changed:
                self.steps += isinstance(record, StepRecord)
                self._changed.notify_all()

        patch: Any = recorder
        patch.write = write_and_count
        return recorder


def _faults(status: dict[str, Any]) -> set[tuple[str, str]]:
    return {(fault["client"], fault["reason"]) for fault in status["clientFaults"]}


async def take_part(known: Known, samples: int) -> None:
    """Take part in a training as an honest client does, but with zeros."""
    rng = random.Random(known.name)  # noqa: S311 - spreads attempts to connect, protects nothing
    said = hello(known, samples=samples)
    while True:
        connecting = connect(known.address, known.identity, said, timeout_seconds=PATIENCE, rng=rng)
        with suppress(StreamEnded):
            async with connecting as stream:
                await _answer_orders(known, stream)
                return


async def _answer_orders(known: Known, stream: Stream) -> None:
    order = Forward()
    while True:
        frame = await stream.receive()
        body = frame.header.WhichOneof("body")
        if body == "forward":
            await asyncio.sleep(THINK_SECONDS)
            order = frame.header.forward
            stream.post([EncodedFrame("", message) for message in answer(known, order)])
        elif body == "tensor" and frame.header.tensor.kind == Tensor.CUT_GRADIENT:
            await asyncio.sleep(THINK_SECONDS)
            stream.post([EncodedFrame("", gradient(known, order))])
        elif body == "finish":
            return
