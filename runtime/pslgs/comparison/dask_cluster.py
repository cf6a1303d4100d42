"""Computes trials on the workers of a Dask cluster; needs the extra ``dask``.

Dask passes functions and results between its parts by pickle: who can connect to a scheduler can run code on
it, on its workers and here.
"""

import logging
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final, ParamSpec, TypeVar
from uuid import uuid4

from distributed import Client, KilledWorker, Status, Worker, get_worker
from typing_extensions import override

from pslgs.comparison.pool import ComparisonError, ComputedTrial, TrialPool, TrialRunner
from pslgs.comparison.trial import Trial
from pslgs.spec.errors import InputError

P = ParamSpec("P")
T = TypeVar("T")

CONNECT_SECONDS: Final = 10.0
_SECONDS_BETWEEN_MESSAGES: Final = 1.0
_ENDING: Final = (Status.closing, Status.closed, Status.failed)
_logger = logging.getLogger(__name__)


class DaskCluster(TrialPool):
    """Computes trials on the workers of a cluster, which may come and go meanwhile.

    All trials are submitted at once.  A worker that is lost does not lose its trial: another one computes it.
    """

    at_a_time = sys.maxsize

    def __init__(self, address: str, client: Client) -> None:
        """Use a connection to the scheduler at ``address``, which whoever made it closes."""
        self._address = address
        self._client = client
        self._executor = client.get_executor(pure=False)
        self._topic = f"pslgs-{uuid4()}"
        self._progress: dict[str, tuple[int, int]] = {}
        client.subscribe_topic(self._topic, self._note)

    def workers(self) -> int:
        """Return the number of workers that are connected to the scheduler."""
        return len(self._client.nthreads())

    def ask(self, question: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function at a worker, and return its result; wait for a worker if there is none.

        Raises:
            InputError: the worker cannot be used, or the function raises it.
            ComparisonError: the scheduler or the worker was lost.
        """
        if not self.workers():
            _logger.warning("the scheduler at %s has no worker yet; waiting for one", self._address)
        future: Future[T] = self._executor.submit(_answer, versions(), question, args, kwargs)
        return self._result("what was asked of a worker", future)

    @override
    def submit(self, runner: TrialRunner, trial: Trial) -> Future[ComputedTrial]:
        """Let the scheduler choose a worker for a trial."""
        task = _Task(versions(), self._topic, runner, trial)
        future: Future[ComputedTrial] = self._executor.submit(_run_on_worker, task)
        return future

    @override
    def progress(self, trial: Trial) -> tuple[int, int] | None:
        """Return the steps of which the trial's worker told last."""
        return self._progress.get(trial.name)

    @override
    def result(self, trial: Trial, future: Future[ComputedTrial]) -> ComputedTrial:
        """Return the result of a trial that a worker has computed, or failed to."""
        return self._result(trial.name, future)

    def cancel(self) -> None:
        """Withdraw the trials that are not finished."""
        self._executor.shutdown(wait=False)

    def _result(self, name: str, future: Future[T]) -> T:
        try:
            return future.result()
        except KilledWorker as error:
            raise ComparisonError(
                f"{name} ended {error.allowed_failures + 1} workers, for instance because memory ran out, "
                f"the last one at {error.last_worker.address}; look at their logs, give them more memory, "
                "and run the same command again"
            ) from error
        except CancelledError as error:
            raise ComparisonError(
                f"{name} is lost with the connection to the scheduler at {self._address}; look why that "
                "ended, and run the same command again"
            ) from error
        except ImportError as error:
            raise InputError.at(
                "--scheduler",
                f"names a cluster that cannot import {error.name} ({error}); install the same pslgs, and "
                "your own modules, where its scheduler and workers run",
            ) from error

    def _note(self, event: tuple[float, Mapping[str, Any]]) -> None:
        _, message = event
        self._progress[message["trial"]] = message["step"], message["steps"]


@contextmanager
def connected(address: str) -> Iterator[DaskCluster]:
    """Connect to the scheduler at ``address``; trials that are not finished at the end are withdrawn.

    Raises:
        InputError: there is none.
    """
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise InputError.at(
            "--scheduler",
            f"is '{address}', where no scheduler of Dask answers ({error}); start one with `dask scheduler`, "
            "and give the address that it prints, such as tcp://host:8786",
        ) from error
    with client:
        cluster = DaskCluster(address, client)
        try:
            yield cluster
        finally:
            cluster.cancel()


def versions() -> dict[str, str]:
    """Return the versions on which the results of a trial depend; builds of one version count as equal."""
    return {name: version(name).partition("+")[0] for name in ("pslgs", "torch")}


def check_worker(worker: Worker, expected: Mapping[str, str]) -> None:
    """Check what a worker must have so that its results are those of every other machine.

    Raises:
        InputError: it computes several tasks at a time, or has other versions.
    """
    if worker.state.nthreads != 1:
        raise InputError.at(
            "--scheduler",
            f"has a worker at {worker.address} that computes {worker.state.nthreads} tasks at a time in one "
            "process, but torch's number of threads is the process's; start it with `dask worker --nthreads "
            "1`, and with --nworkers for several",
        )
    found = versions()
    for name, wanted in expected.items():
        if found[name] != wanted:
            raise InputError.at(
                "--scheduler",
                f"has a worker at {worker.address} with {name} {found[name]}, but {name} is {wanted} here, "
                "and results depend on it; install the same version in both places",
            )


@dataclass(frozen=True, slots=True)
class _Task:
    """A trial for a worker.

    Attributes:
        versions: The versions of `versions` that it must have.
        topic: Topic of the messages in which it tells its progress.
        runner: The comparison.
        trial: The trial.
    """

    versions: Mapping[str, str]
    topic: str
    runner: TrialRunner
    trial: Trial


class _WithdrawnError(Exception):
    """Ends a trial whose result nobody waits for any more."""


def _run_on_worker(task: _Task) -> ComputedTrial:
    worker = get_worker()
    check_worker(worker, task.versions)
    key = worker.get_current_task()
    told = -math.inf

    def tell(trial: Trial, step: int, steps: int) -> None:
        nonlocal told
        if time.monotonic() - told < _SECONDS_BETWEEN_MESSAGES:
            return
        told = time.monotonic()
        if _is_withdrawn(worker, key):
            raise _WithdrawnError
        worker.log_event(task.topic, {"trial": trial.name, "step": step, "steps": steps})

    return task.runner.run(task.trial, tell)


def _is_withdrawn(worker: Worker, key: Any) -> bool:  # noqa: ANN401 - as Dask has it
    """Return whether nobody waits for a task any more: it was cancelled, or its worker is closing."""
    task = worker.state.tasks.get(key)
    return task is None or task.state == "cancelled" or worker.status in _ENDING


def _answer(
    expected: Mapping[str, str], question: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> T:
    check_worker(get_worker(), expected)
    return question(*args, **kwargs)
