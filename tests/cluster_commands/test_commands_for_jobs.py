"""``pslgs status``, ``logs``, ``report`` and ``model`` for a job on a cluster."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cluster_commands.digits_job import COMPLETE, ENDED, FakeAccess, client_pods, server_pod, training_job
from pslgs.cli.main import app
from pslgs.reporting.page import write_report
from pslgs.telemetry.journal import Journal
from reporting.synthetic import run as records

Pslgs = Callable[..., Result]
FAILED = {
    "phase": "Failed",
    "conditions": [{"type": "Failed", "status": "True", "reason": "Diverged", "message": "loss is NaN"}],
}


@pytest.fixture
def pslgs() -> Pslgs:
    """Run the command line in this process."""
    return lambda *arguments: CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.fixture
def volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the run, in an empty working folder."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "volume" / "digits"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch, volume: Path) -> Callable[..., FakeAccess]:
    """Make the commands see a job with this status and these pods."""

    def connect(status: dict[str, Any] | None = None, pods: list[dict[str, Any]] | None = None) -> FakeAccess:
        access = FakeAccess.of(
            volume.parent, training_job(status), [server_pod(), *client_pods()] if pods is None else pods
        )
        monkeypatch.setattr("pslgs.cluster.connection.connect", lambda *_arguments: access)
        return access

    return connect


def test_the_status_is_a_few_lines(pslgs: Pslgs, connected: Callable[..., FakeAccess]) -> None:
    connected()
    result = pslgs("status", "digits")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "  job        digits in the namespace lab",
        "  phase      Running",
        "  training   epoch 2/3, step 42/100",
        "  figures    loss 0.0180, accuracy 96.1\xa0%, deviation 0.320, samples/s 5,829, clients 3/3",
        "  server     digits-server-a on gpu-0",
    ]


def test_the_status_as_json_has_the_conditions(pslgs: Pslgs, connected: Callable[..., FakeAccess]) -> None:
    connected(FAILED)
    document = json.loads(pslgs("status", "digits", "--format", "json").stdout)
    assert (document["phase"], document["ended"], document["succeeded"]) == ("Failed", True, False)
    assert document["conditions"] == FAILED["conditions"]
    assert document["server"] == {"pod": "digits-server-a", "node": "gpu-0"}


@pytest.mark.parametrize(("end", "code"), [(COMPLETE, 0), (FAILED, 1)], ids=["complete", "failed"])
def test_watching_ends_with_the_job_and_tells_how(
    end: dict, code: int, pslgs: Pslgs, connected: Callable[..., FakeAccess], monkeypatch: pytest.MonkeyPatch
) -> None:
    access = connected()
    path = next(path for path in access.objects if path.endswith("/digits"))
    monkeypatch.setattr("time.sleep", lambda _seconds: access.objects.update({path: training_job(end)}))
    result = pslgs("status", "digits", "--watch")
    assert result.exit_code == code
    assert "Running epoch 2/3, step 42/100, loss 0.0180" in result.stdout
    assert end["conditions"][0]["message"] in result.stdout


def test_logs_have_the_names_of_server_and_clients(
    pslgs: Pslgs, connected: Callable[..., FakeAccess]
) -> None:
    access = connected()
    access.logs = {"digits-server-a": ["one", "two"], "digits-client-edge-1-0-x": ["three"]}
    assert pslgs("logs", "digits").stdout.splitlines() == [
        "server   | one",
        "server   | two",
        "edge-1-0 | three",
    ]
    assert pslgs("logs", "digits", "--server", "--tail", 1).stdout.splitlines() == ["server   | two"]
    assert pslgs("logs", "digits", "--client", "edge-1-0").stdout.splitlines() == ["edge-1-0 | three"]
    refused = pslgs("logs", "digits", "--client", "edge-9-0")
    assert refused.exit_code == 2
    assert (
        "names 'edge-9-0', but the clients with pods are edge-0-0, edge-1-0, edge-2-0; did you"
        in refused.stderr
    )


def test_logs_cannot_control_the_terminal(
    pslgs: Pslgs, connected: Callable[..., FakeAccess], monkeypatch: pytest.MonkeyPatch
) -> None:
    access = connected()
    access.logs = {"digits-server-a": ["a\x1b[2Jb\x07"]}
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")  # a terminal, for rich
    assert "a [2Jb" in pslgs("logs", "digits", "--server").stdout
    monkeypatch.delenv("FORCE_COLOR")
    assert "a\x1b[2Jb" in pslgs("logs", "digits", "--server").stdout


def test_logs_of_earlier_pods_come_first(pslgs: Pslgs, connected: Callable[..., FakeAccess]) -> None:
    pods = [
        server_pod(name="digits-server-new", created="2026-01-02T04:00:00Z"),
        server_pod(ENDED, name="digits-server-old", created="2026-01-02T03:00:00Z"),
        server_pod({"waiting": {}}, name="digits-server-next", created="2026-01-02T05:00:00Z"),
    ]
    access = connected(pods=pods)
    access.logs = {
        "digits-server-old": ["before"],
        "digits-server-new": ["after"],
        "digits-server-next": ["!"],
    }
    assert pslgs("logs", "digits").stdout.splitlines() == ["server | before", "server | after"]


def test_followed_logs_end_with_the_job(
    pslgs: Pslgs, connected: Callable[..., FakeAccess], monkeypatch: pytest.MonkeyPatch
) -> None:
    access = connected()
    access.logs = {"digits-server-a": ["one"]}
    path = next(path for path in access.objects if path.endswith("/digits"))
    log = access.log

    def ending(pod: str, container: str, *, follow: bool, tail: int | None):
        assert follow
        yield from log(pod, container, follow=follow, tail=tail)
        access.objects[path] = training_job(COMPLETE)

    monkeypatch.setattr(access, "log", ending)
    monkeypatch.setattr("pslgs.cluster.logs._POLL_SECONDS", 0.01)
    result = pslgs("logs", "digits", "--follow")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == ["server   | one"]


def write_run(folder: Path) -> None:
    with Journal(folder / "metrics.jsonl") as journal:
        for record in records(epochs=1, samples=600, clients=3):
            journal.append(record)


@pytest.mark.slow
def test_the_report_is_that_of_a_local_run(
    pslgs: Pslgs, connected: Callable[..., FakeAccess], volume: Path, tmp_path: Path
) -> None:
    connected(COMPLETE, [server_pod(ENDED)])
    write_run(volume)
    result = pslgs("report", "digits", "--namespace", "lab")
    assert result.exit_code == 0, result.output
    assert result.stdout == "digits-report.html\n"
    local = tmp_path / "local"
    local.mkdir()
    write_run(local)
    write_report(local, local / "report.html")
    written, expected = Path("digits-report.html").read_text(), (local / "report.html").read_text()
    charts = [text[text.index("<svg") : text.rindex("</svg>")] for text in (written, expected)]
    assert charts[0] == charts[1]
    assert "architecture: mlp" in written  # the manifest, as the cluster has it


def test_a_report_needs_records(pslgs: Pslgs, connected: Callable[..., FakeAccess]) -> None:
    connected()
    result = pslgs("report", "digits", "--namespace", "lab")
    assert result.exit_code == 2
    assert result.stderr == "error: JOB: 'digits' has no records yet; see pslgs status digits\n"


def test_without_a_namespace_the_report_is_of_a_folder(
    pslgs: Pslgs, connected: Callable[..., FakeAccess]
) -> None:
    connected()
    result = pslgs("report", "digits")
    assert result.exit_code == 2
    assert "is 'digits', which is no folder; give --namespace for a job on a cluster" in result.stderr


def test_the_model_is_copied(pslgs: Pslgs, connected: Callable[..., FakeAccess], volume: Path) -> None:
    connected(COMPLETE, [server_pod(ENDED)])
    (volume / "model.safetensors").write_bytes(b"weights")
    (volume / "best.safetensors").write_bytes(b"better")
    result = pslgs("model", "digits")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("digits.safetensors: 7 bytes")
    assert Path("digits.safetensors").read_bytes() == b"weights"
    assert pslgs("model", "digits", "--model", "best", "--output", "best.st").exit_code == 0
    assert Path("best.st").read_bytes() == b"better"


def test_a_model_that_is_not_there_yet_is_said(pslgs: Pslgs, connected: Callable[..., FakeAccess]) -> None:
    connected()
    result = pslgs("model", "digits")
    assert result.exit_code == 2
    assert "the training has not ended; --model best" in result.stderr
    assert "spec.checkpoint.best" in pslgs("model", "digits", "--model", "best").stderr


def test_a_missing_package_is_named(pslgs: Pslgs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pslgs.cluster.connection", raising=False)
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    result = pslgs("status", "digits")
    assert result.exit_code == 2
    assert "pip install 'pslgs[cluster]'" in result.stderr
