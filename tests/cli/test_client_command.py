from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from pslgs.process.termination_message import ExitStatus
from pslgs.spec import ExitCode


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
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used: list[int] = []

    def run(main: Coroutine[Any, Any, ExitStatus], threads: int) -> ExitStatus:
        main.close()
        used.append(threads)
        return ExitStatus(ExitCode.FINISHED, "")

    monkeypatch.setattr("pslgs.cli.client.run_process", run)
    done = pslgs("client", job, "--id=a", "--server=h:1", f"--identity={job.parent}", *options)
    assert (done.exit_code, used) == (0, [cores])
