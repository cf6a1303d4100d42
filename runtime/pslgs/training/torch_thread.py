"""The one thread in which a process computes with torch, so that its event loop never waits for a tensor."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
T = TypeVar("T")


class TorchThread:
    """Runs calls one after another, in the order in which they were handed over."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="torch")

    def submit(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Hand a call over without waiting for it."""
        return self._executor.submit(call, *args, **kwargs)

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Hand a call over and wait for its result; cancelling the wait does not stop a call under way."""
        return await asyncio.wrap_future(self.submit(call, *args, **kwargs))

    def close(self) -> None:
        """Wait for the call under way, and forget those that have not begun."""
        self._executor.shutdown(wait=True, cancel_futures=True)


def configure_torch(threads: int) -> None:
    """Set how many cores an operation may use, and that it gives the same result each time.

    To be called once, before anything is computed.
    """
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    torch.backends.cudnn.benchmark = False


def choose_device(name: str) -> torch.device:
    """Turn ``auto`` into the GPU where there is one, any other name into that device."""
    if name != "auto":
        return torch.device(name)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
