import gc
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from pslgs.cli.container import run_process
from pslgs.process.termination_message import ExitStatus
from pslgs.spec import ExitCode


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of cores of each client that is started, which ends at once."""
    used: list[int] = []

    def run(main: Coroutine[Any, Any, ExitStatus], threads: int) -> ExitStatus:
        main.close()
        used.append(threads)
        return ExitStatus(ExitCode.FINISHED, "")

    monkeypatch.setattr("pslgs.cli.client.run_process", run)
    return used


@pytest.mark.parametrize(
    ("options", "cores"),
    [
        pytest.param(["--threads=8"], 8, id="alone"),
        pytest.param(["--threads=8", "--clients-per-node=3"], 2, id="three-of-a-node"),
        pytest.param(["--threads=2", "--clients-per-node=3"], 1, id="more-clients-than-cores"),
    ],
)
def test_clients_of_one_node_share_its_cores(
    options: list[str],
    cores: int,
    job: Path,
    pslgs: Callable[..., Result],
    started: list[int],
) -> None:
    done = pslgs("client", job, "--id=a", "--server=h:1", f"--identity={job.parent}", *options)
    assert (done.exit_code, started) == (0, [cores])


class TestAManifestOfANewerOperator:
    @pytest.fixture
    def newer(self, job: Path) -> Path:
        job.write_text(job.read_text() + "  brandNew: 1\n")
        return job

    def start(self, pslgs: Callable[..., Result], job: Path) -> Result:
        return pslgs("client", job, "--id=a", "--server=h:1", f"--identity={job.parent}")

    def test_is_read_with_a_warning(
        self,
        newer: Path,
        pslgs: Callable[..., Result],
        started: list[int],
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setenv("PSLGS_REQUIRED_FIELDS", "model optimizer")
        assert self.start(pslgs, newer).exit_code == 0
        assert len(started) == 1
        assert "does not know these fields and ignores them: spec.brandNew" in caplog.text

    @pytest.mark.parametrize(
        "required", [None, "model brandNew"], ids=["no-operator", "defines-the-training"]
    )
    def test_is_refused(
        self,
        required: str | None,
        newer: Path,
        pslgs: Callable[..., Result],
        started: list[int],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        if required is not None:
            monkeypatch.setenv("PSLGS_REQUIRED_FIELDS", required)
        assert self.start(pslgs, newer).exit_code == ExitCode.BAD_INPUT
        assert started == []

    @pytest.mark.parametrize("command", ["validate", "run"])
    def test_is_refused_outside_of_containers(
        self, command: str, newer: Path, pslgs: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PSLGS_REQUIRED_FIELDS", "model")
        assert pslgs(command, newer).exit_code == ExitCode.BAD_INPUT


def test_modules_are_no_garbage_while_a_process_runs(monkeypatch):
    async def main() -> ExitStatus:
        frozen.append(gc.get_freeze_count())
        return ExitStatus(ExitCode.FINISHED, "")

    frozen: list[int] = []
    monkeypatch.setattr("pslgs.training.torch_thread.configure_torch", lambda _threads: None)
    run_process(main(), threads=1)
    assert frozen[0] > 10_000
    assert gc.get_freeze_count() < frozen[0]
