"""Calls of functions in processes that are forked from one which has imported slow modules in advance."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from threading import Thread
from typing import Any, TypeVar

from pslgs.process.signals import delaying_signals, without_interrupts

T = TypeVar("T")


def fork_server(*modules: str) -> ForkServerContext:
    """Start the process from which others are forked, unless it runs, and let it import modules in advance.

    Importing torch takes seconds.  Forked processes start without importing it again, and share its memory.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(modules))
    with without_interrupts():
        forkserver.ensure_running()
    return context


def call_in_process(
    context: ForkServerContext,
    call: Callable[..., T],
    *arguments: Any,  # noqa: ANN401 - those of the call
    prepare: Callable[..., object] | None = None,
    inherited: tuple[Any, ...] = (),
) -> Future[T]:
    """Call a function in a new process, which ends with the call, and ignores Ctrl-C.

    An executor that replaced its process after each call could start one after the others were terminated,
    which nothing would end.

    Args:
        context: Result of `fork_server`.
        call: A function of a module.
        *arguments: Its arguments.
        prepare: A function of a module that is called before.
        inherited: Its arguments, which may be such as can only be passed when a process is started.

    Returns:
        The result of the call; a `concurrent.futures.BrokenExecutor` if the process ends before it.
    """
    executor = ProcessPoolExecutor(
        1, mp_context=context, initializer=_prepare, initargs=(prepare, *inherited)
    )
    # It waits until the modules are imported.  If a signal ended the wait, the process would start later, and
    # fail for want of what is no longer there.
    with delaying_signals():
        future = executor.submit(call, *arguments)
    executor.shutdown(wait=False)  # once the call is finished
    return future


@contextmanager
def terminating_calls() -> Iterator[None]:
    """Terminate the processes that were started in the block if it raises, Ctrl-C included."""
    others = multiprocessing.active_children()
    completed = False
    try:
        yield
        completed = True
    finally:
        if not completed:
            for process in multiprocessing.active_children():
                if process not in others:
                    process.terminate()
                    process.join()


def _prepare(prepare: Callable[..., object] | None, *inherited: Any) -> None:  # noqa: ANN401
    """Leave Ctrl-C to the process that waits for the call, and exit when that process is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_exit_with_parent, daemon=True).start()
    if prepare is not None:
        prepare(*inherited)


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
