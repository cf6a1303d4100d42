"""A server's start: what its HTTP port answers while the checkpoint is read, and what the run remembers."""

import asyncio
import errno
import json
import signal
import threading
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from pslgs.process.termination_message import ExitStatus, TerminationMessage
from pslgs.server import main, run_checkpoint
from pslgs.server.options import ServerOptions
from pslgs.server.run_owner import LOCK_FILE, RunFolderInUse, only_server
from pslgs.spec import ExitCode, InputError, SplitTrainingJob, parse_job
from pslgs.telemetry.journal import Journal, read
from pslgs.telemetry.records import CheckpointRecord, FinishRecord, StepRecord
from pslgs.training.checkpoint import CheckpointStore, Damage
from server.checkpoints import coordinator_state, trained_model
from server.fakes import tiny_document

STEPS = 4


def job(**spec: Any) -> SplitTrainingJob:
    return parse_job(tiny_document(transport={"tls": "Disabled"}, **spec))


def options(run: Path, **others: Any) -> ServerOptions:
    return ServerOptions(
        "127.0.0.1:0", ("127.0.0.1", 0), None, run, run / "cache", expected_clients=1, **others
    )


def step(number: int) -> StepRecord:
    return StepRecord(1.0, 1, number, 1, 1 / number, 8, 0.2, 0.2, 0.5, 0.1, {"a": (0, 8)}, {})


class Reading:
    """The reading of checkpoints, held until `go_on` is set.

    Args:
        fallback: Hold only the reading of an older checkpoint because a newer one is not usable.

    Attributes:
        begun: Set when the server begins to read.
        go_on: To be set by the test.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, fallback: bool = False) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        load = CheckpointStore.load_latest

        def held(store: CheckpointStore, unusable: Iterable[Damage] = ()) -> Any:
            unusable = list(unusable)
            if unusable or not fallback:
                self.begun.set()
                assert self.go_on.wait(60)
            return load(store, unusable)

        monkeypatch.setattr(CheckpointStore, "load_latest", held)


class Ports:
    """The ports of a server, as they open."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.http = 0
        self.listens = asyncio.Event()
        start, write = main.HttpServer.start, main._write_endpoints

        def note_http(server: Any) -> int:
            self.http = start(server)
            return self.http

        def note_grpc(run: Path, ports: dict[str, int]) -> None:
            write(run, ports)
            self.listens.set()

        monkeypatch.setattr(main.HttpServer, "start", note_http)
        monkeypatch.setattr(main, "_write_endpoints", note_grpc)

    async def get(self, page: str) -> tuple[int, str]:
        return await asyncio.to_thread(fetch, f"http://127.0.0.1:{self.http}/{page}")

    async def status(self) -> dict[str, Any]:
        return json.loads((await self.get("status"))[1])


def fetch(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - of this test
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read().decode()


@asynccontextmanager
async def serving(manifest: SplitTrainingJob, run: Path) -> AsyncIterator[asyncio.Task[ExitStatus]]:
    """A server; at the end it is stopped by a signal unless it has ended by itself."""
    task = asyncio.create_task(main.run_server(manifest, options(run), TerminationMessage()))
    try:
        yield task
    finally:
        if not task.done():
            signal.raise_signal(signal.SIGTERM)
        await asyncio.wait({task})


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run with a checkpoint of step 4 and two steps after it, killed."""
    spec, folder = job().spec, tmp_path / "run"
    folder.mkdir()
    recorder = main.open_recorder(job(), options(folder), main.ProcessRegistry())
    for number in range(1, STEPS + 1):
        recorder.write(step(number))
    rest = run_checkpoint.snapshot(coordinator_state(spec, STEPS), {}, spec, recorder.progress())
    run_checkpoint.save(CheckpointStore(folder / "checkpoints", 2), STEPS, trained_model(spec, STEPS), rest)
    recorder.write(CheckpointRecord(7.0, STEPS, 0.1))
    for number in (STEPS + 1, STEPS + 2):
        recorder.write(step(number))
    recorder.close()
    return folder


async def test_the_http_port_answers_while_the_checkpoint_is_read_and_is_not_ready(monkeypatch, run):
    reading, ports = Reading(monkeypatch), Ports(monkeypatch)
    async with serving(job(), run):
        await asyncio.to_thread(reading.begun.wait, 60)
        assert (await ports.get("healthz"))[0] == 200
        assert (await ports.status())["phase"] == "Starting"
        assert (await ports.get("readyz"))[0] == 503
        assert not (run / "endpoints.json").exists()

        reading.go_on.set()
        await asyncio.wait_for(ports.listens.wait(), 60)
        assert (await ports.get("readyz"))[0] == 200
        grpc = json.loads((run / "endpoints.json").read_text())["grpc"]
        _, writer = await asyncio.open_connection("127.0.0.1", grpc)
        writer.close()


async def test_the_server_has_a_heartbeat_while_the_checkpoint_is_read(monkeypatch, run):
    reading, ports = Reading(monkeypatch), Ports(monkeypatch)
    async with serving(job(), run):
        await asyncio.to_thread(reading.begun.wait, 60)
        first = (await ports.status())["heartbeat"]
        while (await ports.status())["heartbeat"] == first:
            pass
        reading.go_on.set()


async def test_a_server_that_is_stopped_while_it_reads_ends_resumable(monkeypatch, run):
    reading, close = Reading(monkeypatch), main.TorchThread.close

    def end_reading(thread: main.TorchThread) -> None:
        reading.go_on.set()
        close(thread)

    monkeypatch.setattr(main.TorchThread, "close", end_reading)
    before = read(run / "metrics.jsonl")
    async with serving(job(), run) as server:
        await asyncio.to_thread(reading.begun.wait, 60)
        signal.raise_signal(signal.SIGTERM)
        assert await server == ExitStatus(ExitCode.INTERRUPTED, "stopped by SIGTERM")
    assert read(run / "metrics.jsonl") == before


async def test_a_resumed_server_goes_on_at_its_checkpoint_with_its_figures(monkeypatch, run):
    ports = Ports(monkeypatch)
    async with serving(job(), run):
        await asyncio.wait_for(ports.listens.wait(), 60)
        status = await ports.status()
    assert (status["step"], status["loss"]) == (STEPS, 1 / STEPS)
    assert status["lastCheckpoint"] == {"step": STEPS, "time": 7.0}
    records = read(run / "metrics.jsonl")
    assert [record.step for record in records if isinstance(record, StepRecord)] == [1, 2, 3, 4]


async def test_a_refused_resume_ends_as_bad_input_and_keeps_its_place_in_the_status(monkeypatch, run):
    words = TerminationMessage()
    with pytest.raises(InputError, match=r"spec\.optimizer\.momentum: was 0\.9 when training started"):
        await main.run_server(job(optimizer={"momentum": 0.5}), options(run), words)
    assert words.describe(ExitStatus(ExitCode.BAD_INPUT, "refused"))["step"] == STEPS
    finish = read(run / "metrics.jsonl")[-1]
    assert isinstance(finish, FinishRecord)
    assert (finish.outcome, finish.step) == ("BAD_INPUT", STEPS)


async def test_a_notice_of_the_start_is_beside_that_of_an_earlier_job(run):
    words = TerminationMessage()
    with pytest.raises(InputError):
        await main.run_server(
            job(optimizer={"momentum": 0.5}), options(run, job_uid="new", notice="ignores spec.x"), words
        )
    notice = words.describe(ExitStatus(ExitCode.BAD_INPUT, "refused"))["notice"]
    assert str(notice).startswith("resumed from a checkpoint of an earlier job")
    assert str(notice).endswith("; ignores spec.x")


async def test_a_second_server_on_a_run_folder_touches_nothing_in_it(run):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with only_server(run):
        for start in (options(run), options(run, job_uid="new")):
            with pytest.raises(RunFolderInUse, match=f"another server trains in '{run}'; wait for its end"):
                await main.run_server(job(), start, TerminationMessage())
    (run / LOCK_FILE).unlink()
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


async def test_a_file_in_place_of_the_checkpoint_folder_is_bad_input(tmp_path):
    (tmp_path / "checkpoints").write_text("")
    with pytest.raises(InputError, match=r"checkpoint folder .*checkpoints cannot be read"):
        await main.run_server(job(), options(tmp_path), TerminationMessage())


async def test_a_run_that_falls_back_to_an_older_checkpoint_forgets_the_steps_after_that_one(
    monkeypatch, run
):
    spec = job().spec
    store = CheckpointStore(run / "checkpoints", 3)
    rest = run_checkpoint.snapshot(
        coordinator_state(spec, STEPS + 2),
        {},
        spec,
        {"figures": {"step": STEPS + 2}, "journal_bytes": (run / "metrics.jsonl").stat().st_size},
    )
    wider = {"model": {"stranger": torch.zeros(3)}, "optimizer": {}}
    store.save(STEPS + 2, wider, {**rest, "optimizer": {}})
    reading, ports = Reading(monkeypatch, fallback=True), Ports(monkeypatch)
    async with serving(job(), run):
        await asyncio.to_thread(reading.begun.wait, 60)
        assert (await ports.status())["step"] == STEPS + 2
        reading.go_on.set()
        while (await ports.status())["phase"] == "Starting":
            pass
        assert (await ports.status())["step"] == STEPS
    records = read(run / "metrics.jsonl")
    assert [record.step for record in records if isinstance(record, StepRecord)] == [1, 2, 3, 4]


async def test_a_disk_that_is_full_for_a_while_costs_no_record(monkeypatch, run):
    recorder = main.open_recorder(job(), options(run), main.ProcessRegistry())
    recorder.resume_after(STEPS, None)
    append, full = Journal.append_line, True

    def append_if_possible(journal: Journal, line: bytes) -> None:
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        append(journal, line)

    monkeypatch.setattr(Journal, "append_line", append_if_possible)
    for number in (STEPS + 1, STEPS + 2):
        recorder.write(step(number))
    assert recorder.status.step == STEPS + 2
    full = False
    noted = recorder.progress()["journal_bytes"]
    recorder.close()
    assert noted == (run / "metrics.jsonl").stat().st_size
    records = read(run / "metrics.jsonl")
    assert [record.step for record in records if isinstance(record, StepRecord)] == [1, 2, 3, 4, 5, 6]
