"""The thread in which a process runs torch, its settings and its random state."""

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

import torch

P = ParamSpec("P")
T = TypeVar("T")

QUICK_SECONDS = 0.004
"""Duration below which a computation is quick: an event loop may stand still for so long.

On slow machines the parts of a small step take more than a millisecond.
"""

_REMEMBERED = 0.9
"""Part of a duration that counts at the next call: after a slow one, some are made in the thread."""


class TorchThread:
    """A thread that runs calls one at a time, in the order of submission."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="torch")
        self._clock = clock
        self._last: Future[Any] | None = None
        self._durations: dict[str, float] = {}

    def submit(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Submit a call without waiting; an error in it is lost unless the caller looks at the future."""
        future = self._executor.submit(call, *args, **kwargs)
        self._last = future
        return future

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Submit a call and await its result; cancelling does not stop a call that is already running."""
        return await asyncio.wrap_future(self.submit(call, *args, **kwargs))

    async def compute(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a part of a step as `run` does, but in the thread of the event loop if it is quick.

        The former calls of the same function decide what is quick.  A GPU is used in one thread only: which
        of several is the present one depends on the thread.
        """
        measured = partial(self._measured, call, *args, **kwargs)
        is_quick = self._durations.get(call.__qualname__, math.inf) < QUICK_SECONDS
        is_idle = self._last is None or self._last.done()
        if is_quick and is_idle and not _uses_gpu():
            return measured()
        return await self.run(measured)

    def _measured(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        begun = self._clock()
        result = call(*args, **kwargs)
        name = call.__qualname__
        duration = self._clock() - begun
        self._durations[name] = max(duration, _REMEMBERED * self._durations.get(name, 0.0))
        return result

    def close(self) -> None:
        """Wait for the running call to finish, and cancel those that have not started."""
        self._executor.shutdown(wait=True, cancel_futures=True)


def _uses_gpu() -> bool:
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call] # torch has no types there


def configure_torch(threads: int) -> None:
    """Set the number of threads per operation, and select deterministic algorithms.

    Must be called once per process, before the first computation.
    """
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    select_deterministic_algorithms()
    torch.backends.cudnn.benchmark = False


def select_deterministic_algorithms() -> None:
    """Let torch use deterministic algorithms, and warn of operations that have none."""
    # torch.use_deterministic_algorithms would import the compiler, which takes seconds and 150 MB.
    torch.set_deterministic_debug_mode("warn")
    # All new memory would be filled, also that of results: 6 % of a ResNet-18's step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined] # no types there


def seed_torch(seed: int) -> None:
    """Seed the generators of the CPU and, if CUDA is initialized, of all GPUs.

    ``torch.manual_seed`` does the same, but imports the compiler and formats a stack trace for each missing
    GPU, which takes longer than a small step.
    """
    torch.default_generator.manual_seed(seed)
    if _uses_gpu():
        torch.cuda.manual_seed_all(seed)
