"""The thread in which a process runs torch, its settings and its random state."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
T = TypeVar("T")


class TorchThread:
    """A thread that runs calls one at a time, in the order of submission."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="torch")

    def submit(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Submit a call without waiting; an error in it is lost unless the caller looks at the future."""
        return self._executor.submit(call, *args, **kwargs)

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Submit a call and await its result; cancelling does not stop a call that is already running."""
        return await asyncio.wrap_future(self.submit(call, *args, **kwargs))

    def close(self) -> None:
        """Wait for the running call to finish, and cancel those that have not started."""
        self._executor.shutdown(wait=True, cancel_futures=True)


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
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call] # torch has no types there
        torch.cuda.manual_seed_all(seed)
