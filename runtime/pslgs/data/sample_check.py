"""The check of samples: each is read once, so that damaged ones are known before the training."""

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import override

from pslgs.data.left_out import LeftOut, LeftOutCount, Reason
from pslgs.data.source import DamagedSampleError, Source
from pslgs.data.thread_random import ThreadGenerator
from pslgs.model_inputs import Inputs, tensors_of
from pslgs.spec.errors import InputError

_AT_ONCE: Final = 64
"""Samples between two looks at whether the check was cancelled."""
_LOG_SECONDS: Final = 10.0
_LOGGED_LIMIT: Final = 100
_logger = logging.getLogger(__name__)


class CheckCancelledError(Exception):
    """Raised when a check is cancelled."""


class Watcher(Protocol):
    """Receives the progress of a check."""

    def on_sample(self, index: int, sample: Inputs) -> None:
        """Take note of a sample that is in order; called in the order of the samples."""

    def on_damaged(self, index: int, problem: str) -> None:
        """Take note of a damaged sample."""

    def on_progress(self, checked: int, total: int) -> None:
        """Take note of the numbers of samples that are checked and to be checked."""


class QuietWatcher(Watcher):
    """Ignores everything."""


class LoggingWatcher(Watcher):
    """Logs damaged samples, and the progress now and then."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._shown = clock()
        self._damaged = 0

    @override
    def on_damaged(self, index: int, problem: str) -> None:
        """Log a damaged sample, unless there are too many."""
        self._damaged += 1
        if self._damaged <= _LOGGED_LIMIT:
            _logger.warning("left out a damaged sample: the dataset %s", problem)
        elif self._damaged == _LOGGED_LIMIT + 1:
            _logger.warning("further damaged samples are counted only")

    @override
    def on_progress(self, checked: int, total: int) -> None:
        """Log the numbers of samples that are checked and to be checked, at intervals."""
        now = self._clock()
        if now - self._shown > _LOG_SECONDS:
            self._shown = now
            _logger.info("checked %d of %d samples", checked, total)


@dataclass(frozen=True, slots=True)
class Checking:
    """How samples are checked.

    Attributes:
        threads: Number of threads that read samples, where the dataset allows several.
        watcher: Makes the object that receives the progress of one dataset.
        cancelled: Called now and then; the check ends if it returns True.
        up_to_first: Whether to stop at the first sample that is in order, and take the rest for granted.
    """

    threads: int = 1
    watcher: Callable[[], Watcher] = LoggingWatcher
    cancelled: Callable[[], bool] = lambda: False
    up_to_first: bool = False


DEFAULT_CHECKING: Final = Checking()


def without_damaged(
    source: Source, index: NDArray[np.int64], field: str, checking: Checking = DEFAULT_CHECKING
) -> tuple[NDArray[np.int64], tuple[LeftOut, ...]]:
    """Read the samples of ``index``, and return the indices of those that are in order, and the others.

    A sample is damaged if it cannot be read, or if a value in it is not finite.

    Raises:
        InputError: all samples are damaged, or one does not fit the manifest.
        CheckCancelledError: the check was cancelled.
    """
    watcher, left_out = checking.watcher(), LeftOutCount()
    good = np.ones(len(index), dtype=np.bool_)
    first = ""
    for position, sample in enumerate(_samples(source, index, checking)):
        number = int(index[position])
        problem = sample if isinstance(sample, str) else _non_finite(sample, number)
        if problem is not None:
            good[position] = False
            first = first or problem
            left_out.add(Reason.DAMAGED, f"{field} {problem}")
            watcher.on_damaged(number, problem)
        elif not isinstance(sample, str):
            watcher.on_sample(number, sample)
        watcher.on_progress(position + 1, len(index))
        if checking.up_to_first and problem is None:
            break
    if len(index) and not good.any():
        raise InputError.at(field, f"has {len(index):,} samples, all of them damaged; it {first}")
    return index[good], left_out.result()


def _samples(source: Source, index: NDArray[np.int64], checking: Checking) -> Iterator[Inputs | str]:
    """Yield the samples, or for damaged ones what is wrong, in the order of ``index``."""
    threads = checking.threads if source.is_thread_safe and not checking.up_to_first else 1
    with (
        ThreadPoolExecutor(threads, thread_name_prefix="check") if threads > 1 else nullcontext() as executor
    ):
        for start in range(0, len(index), _AT_ONCE):
            if checking.cancelled():
                raise CheckCancelledError
            numbers = index[start : start + _AT_ONCE].tolist()
            if executor is None:
                yield from (_read(source, number) for number in numbers)
            else:
                yield from executor.map(lambda number: _read(source, number), numbers)


def _read(source: Source, number: int) -> Inputs | str:
    own = torch.Generator()
    own.manual_seed(0)  # for datasets that draw random numbers
    try:
        with nullcontext() if source.is_thread_safe else ThreadGenerator(own):
            return source.load(number)
    except DamagedSampleError as error:
        return error.violations[0].problem


def _non_finite(sample: Inputs, number: int) -> str | None:
    if all(not each.is_floating_point() or bool(each.isfinite().all()) for each in tensors_of(sample)):
        return None
    return f"holds sample {number} (counted from 0), which has values that are not finite"
