"""Comparisons whose trials are computed by the workers of a Dask cluster."""

import multiprocessing
import os
import sys
from collections.abc import Iterator
from multiprocessing import forkserver
from pathlib import Path

import dask
import pytest
import yaml
from distributed import LocalCluster
from distributed.cli import dask_scheduler, dask_worker
from typer.testing import CliRunner

from comparison.watching import Notes
from documents.shell import ROOT, commands
from pslgs import InputError, compare
from pslgs.cli.main import app
from pslgs.comparison import dask_cluster
from pslgs.comparison.pool import ComparisonError
from simulation.jobs import document, job

pytestmark = pytest.mark.slow

TWO = ("Global", "FixedLocal")


def local_cluster(workers: int, **options) -> LocalCluster:
    """A cluster whose ports are free ones: the usual ones may be those of another."""
    settings = {"threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    return LocalCluster(n_workers=workers, **settings | options)


@pytest.fixture(scope="module")
def processes() -> Iterator[LocalCluster]:
    """A scheduler and two workers with a process each, which are started again when they end.

    They are forked from a process that has imported torch, which takes long on a busy machine.
    """
    with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        multiprocessing.set_forkserver_preload(["pslgs.comparison.dask_cluster"])
        forkserver.ensure_running()
        with local_cluster(2) as cluster:
            yield cluster


@pytest.fixture
def threads() -> Iterator[LocalCluster]:
    """A scheduler and a worker in this process."""
    with local_cluster(1, processes=False, protocol="tcp") as cluster:
        yield cluster


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "timing.json")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def on(cluster: LocalCluster, folder: Path, compared=None, **arguments):
    settings = {"strategies": TWO, "seeds": 2, "partition": "severe", "folder": folder} | arguments
    return compare(compared or job(), **settings, scheduler=cluster.scheduler_address)


def test_workers_write_the_files_of_one_machine(processes, trained, tmp_path):
    comparison, folder = trained
    notes = Notes()
    assert on(processes, tmp_path, watcher=notes).table() == comparison.table()
    assert contents(tmp_path) == contents(folder)
    assert sorted(notes.computed) == sorted(notes.trials)
    assert {name: steps for name, (_, steps) in notes.steps.items()} == {
        outcome.trial.name: len(outcome.steps) for outcome in comparison.outcomes
    }


def test_what_one_machine_began_is_continued_by_workers(threads, trained, tmp_path):
    _, folder = trained
    compare(job(), strategies=TWO[:1], seeds=2, partition="severe", folder=tmp_path)
    notes = Notes()
    on(threads, tmp_path, watcher=notes)
    assert sorted(notes.computed) == ["FixedLocal-seed-3", "FixedLocal-seed-4"]
    assert contents(tmp_path) == contents(folder)


def mortal(builder: str, **options: str):
    """The job with a network of `comparison.mortal_builder`."""
    model = {"architecture": f"comparison.mortal_builder:{builder}", "inputShape": [64], "cutLayer": "0"}
    return job(model=model | {"options": options})


def test_the_trial_of_a_worker_that_is_killed_is_computed_by_another(processes, tmp_path):
    (tmp_path / "marker").touch()
    compared = mortal("network_after_a_death", marker=str(tmp_path / "marker"))
    compare(compared, strategies=TWO, seeds=2, partition="severe", folder=tmp_path / "here")
    (tmp_path / "marker").unlink()
    on(processes, tmp_path / "there", compared)
    assert (tmp_path / "marker").exists()
    assert contents(tmp_path / "there") == contents(tmp_path / "here")


def test_a_trial_that_ends_every_worker_is_named(processes, tmp_path, monkeypatch):
    monkeypatch.setattr(processes.scheduler, "allowed_failures", 1)
    with pytest.raises(
        ComparisonError,
        match=r"^Global-seed-3 ended 2 workers, .* the last one at tcp://127\.0\.0\.1:\d+; look",
    ):
        on(processes, tmp_path / "compared", mortal("network"), strategies=TWO[:1], seeds=1)
    assert list(tmp_path.iterdir()) == []


class Interrupting(Notes):
    """Presses Ctrl-C when the first steps are shown."""

    def show(self, trial, step, steps):
        super().show(trial, step, steps)
        raise KeyboardInterrupt


def test_an_interrupted_comparison_ends_its_trials_at_the_workers(threads, tmp_path):
    notes = Interrupting()
    with pytest.raises(KeyboardInterrupt):
        on(threads, tmp_path, job(epochs=1_000_000), schedule_only=True, watcher=notes)
    assert len(notes.steps) == 1
    with dask_cluster.connected(threads.scheduler_address) as cluster:
        assert cluster.ask(os.getpid) == os.getpid()  # the only worker has nothing else to do


def test_what_is_wrong_with_the_data_of_a_worker_is_told(threads, tmp_path):
    source = {"format": "NumPy", "path": "nowhere.npz"}
    with pytest.raises(InputError, match=r"^spec\.data\.train"):
        on(threads, tmp_path / "compared", job(data={"train": source}), clients=4)
    assert list(tmp_path.iterdir()) == []


def test_a_worker_of_two_threads_is_refused(tmp_path):
    with (
        local_cluster(1, processes=False, protocol="tcp", threads_per_worker=2) as cluster,
        pytest.raises(
            InputError, match=r"^--scheduler: has a worker at tcp://\S+ that computes 2 tasks .*--nthreads 1"
        ),
    ):
        on(cluster, tmp_path)


@pytest.mark.parametrize("package", ["pslgs", "torch"])
def test_a_worker_of_another_version_is_refused(threads, tmp_path, monkeypatch, package):
    told = iter([dask_cluster.versions() | {package: "0.0.7"}])
    found = dask_cluster.versions
    monkeypatch.setattr(dask_cluster, "versions", lambda: next(told, None) or found())
    with pytest.raises(
        InputError,
        match=rf"^--scheduler: has a worker at \S+ with {package} \S+, but {package} is 0\.0\.7 here",
    ):
        on(threads, tmp_path)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        pytest.param("tcp://127.0.0.1:9", "Timed out", id="nobody"),
        pytest.param("127.0.0.1", "missing port", id="no-port"),
        pytest.param("ftp://127.0.0.1:8786", "unknown address scheme 'ftp'", id="scheme"),
        pytest.param("tls://127.0.0.1:8786", "TLS configuration", id="tls"),
    ],
)
def test_a_scheduler_that_does_not_answer_is_told_in_one_line(tmp_path, monkeypatch, address, reason):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dask_cluster, "CONNECT_SECONDS", 0.5)
    Path("job.yaml").write_text(yaml.safe_dump(document()), encoding="utf-8")
    result = CliRunner().invoke(app, ["compare", "job.yaml", "--scheduler", address])
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: --scheduler: is '{address}', where no scheduler of Dask answers (")
    assert reason in line
    assert list(tmp_path.iterdir()) == [tmp_path / "job.yaml"]


def test_the_number_of_simulations_at_a_time_is_that_of_the_workers(tmp_path):
    with pytest.raises(InputError, match=r"^--jobs: does not apply with --scheduler"):
        compare(job(), scheduler="tcp://127.0.0.1:9", jobs=2, folder=tmp_path)


def test_without_the_extra_its_command_is_told(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "pslgs.comparison.dask_cluster")
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"^--scheduler: needs .*: pip install 'pslgs\[dask\]'"):
        compare(job(), scheduler="tcp://127.0.0.1:9", folder=tmp_path)


class Ending(Notes):
    """Ends the scheduler when the first steps are shown."""

    def __init__(self, cluster: LocalCluster) -> None:
        super().__init__()
        self.cluster = cluster

    def show(self, trial, step, steps):
        super().show(trial, step, steps)
        self.cluster.close()


def test_a_scheduler_that_ends_is_told_with_the_trial(threads, tmp_path):
    with pytest.raises(
        ComparisonError, match=r"^\w+-seed-\d is lost with the connection to the scheduler at tcp:"
    ):
        on(threads, tmp_path, job(epochs=1_000_000), schedule_only=True, watcher=Ending(threads))


def started() -> Iterator[list[str]]:
    """The commands by which the guide and its manifest start parts of Dask, without the variables before."""
    for command in commands(ROOT / "docs" / "how-to" / "dask.md"):
        if "dask" in command.words:
            yield command.words[command.words.index("dask") :]
    text = (ROOT / "examples" / "clusters" / "dask.yaml").read_text(encoding="utf-8")
    cluster, _ = yaml.safe_load_all(text)
    for part in ("worker", "scheduler"):
        (container,) = cluster["spec"][part]["spec"]["containers"]
        yield [*container["command"], *container["args"]]


def test_parts_of_dask_are_started_with_options_that_they_have():
    programs = {"scheduler": dask_scheduler.main, "worker": dask_worker.main}
    names = [words[1] for words in started()]
    assert (names.count("scheduler"), names.count("worker")) == (2, 3)
    for _, name, *rest in started():
        known = {option for each in programs[name].params for option in (*each.opts, *each.secondary_opts)}
        assert {word for word in rest if word.startswith("--")} - known == set()
        assert name == "scheduler" or rest[rest.index("--nthreads") + 1] == "1"


def test_the_policy_and_the_service_of_the_manifest_select_its_pods():
    cluster, policy = yaml.safe_load_all((ROOT / "examples/clusters/dask.yaml").read_text(encoding="utf-8"))
    name = cluster["metadata"]["name"]
    selected = cluster["spec"]["scheduler"]["service"]["selector"]
    assert selected == {"dask.org/cluster-name": name, "dask.org/component": "scheduler"}
    assert policy["spec"]["podSelector"]["matchLabels"] == {"dask.org/cluster-name": name}
