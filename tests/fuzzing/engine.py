"""The fuzzing engine: a decoder may return or raise its documented errors, whatever input it is given."""

import hashlib
import os
import random
import resource
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from pathlib import Path
from types import FrameType

from fuzzing.mutators import Mutator, mutate_bytes

ROOT = Path(__file__).parents[2]
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of the system; within it, names are random
"""Folder for files in memory."""

MEMORY_BYTES = 1 << 30
"""Address space that the decoders may take beyond that of the process at their start."""

CPU_SECONDS = 20
"""CPU time for one input; the slowest need a tenth of a second."""

ROUNDS = 3
"""Maximum number of mutations of one input."""

_SHRINKING_TRIES = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A decoder of what comes from outside.

    Attributes:
        decode: Decodes an input.
        errors: The errors that it documents for inputs that it refuses.
        seeds: Valid inputs, made by the project's own encoders or by the library that writes the format.
        mutate: Damages an input.
        inputs: Number of inputs in a test run.
    """

    decode: Callable[[bytes], object]
    errors: tuple[type[Exception], ...] = ()
    seeds: Sequence[bytes]
    mutate: Mutator = mutate_bytes
    inputs: int = 3000


class Outcome(Enum):
    """What a decoder may do with an input."""

    ACCEPTED = auto()
    REFUSED = auto()
    """It raised one of its documented errors."""


@dataclass(frozen=True, slots=True)
class Finding:
    """An input on which a decoder neither returned nor raised a documented error.

    Attributes:
        data: The input, shrunk.
        problem: The error, and where it was raised.
        trace: The traceback.
    """

    data: bytes
    problem: str
    trace: str

    @property
    def name(self) -> str:
        """Name of the input's file in the corpus."""
        return hashlib.sha256(self.data).hexdigest()[:12]


@dataclass(slots=True)
class Report:
    """What came of a number of inputs.

    Attributes:
        inputs: Number of inputs.
        accepted: Number of those that were decoded; the others were refused.
        findings: Problem -> the first input with it.
    """

    inputs: int = 0
    accepted: int = 0
    findings: dict[str, Finding] = field(default_factory=dict)


class EndlessError(BaseException):
    """An input took too much CPU time; no decoder catches this by accident."""


def fuzz(target: Target, inputs: int, seed: int) -> Report:
    """Give a decoder a number of damaged inputs, the same ones for the same seed.

    Args:
        target: The decoder.
        inputs: Number of inputs.
        seed: Seed of the mutations.

    Raises:
        ValueError: a valid input is refused.
    """
    report = Report()
    for valid in target.seeds:  # without bounds, as decoders import libraries at their first input
        outcome = decode(replace(target, errors=()), valid)
        if isinstance(outcome, Finding):
            raise ValueError(f"a valid input is refused: {outcome.trace}")  # noqa: TRY004 - of the target
    with bounded():
        for data in damaged(target, inputs, seed):
            report.inputs += 1
            outcome = decode(target, data)
            if not isinstance(outcome, Finding):
                report.accepted += outcome is Outcome.ACCEPTED
            elif outcome.problem not in report.findings:
                report.findings[outcome.problem] = shrunk(target, outcome)
    return report


def damaged(target: Target, inputs: int, seed: int) -> Iterator[bytes]:
    """Yield a number of damaged inputs, the same ones for the same seed."""
    rng = random.Random(seed)
    for _ in range(inputs):
        data = rng.choice(target.seeds)
        for _ in range(rng.randint(1, ROUNDS)):
            data = target.mutate(rng, data, rng.choice(target.seeds))
        yield data


def decode(target: Target, data: bytes) -> Outcome | Finding:
    """Decode one input; to be called within `bounded`."""
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU_SECONDS)
    try:
        target.decode(data)
    except KeyboardInterrupt:
        raise
    except target.errors:
        return Outcome.REFUSED
    except BaseException as error:  # noqa: BLE001 - any other error is what is looked for
        trace = "".join(traceback.format_exception(error, limit=-12))
        return Finding(data, f"{type(error).__name__} {_place(error)}", trace)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return Outcome.ACCEPTED


def _place(error: BaseException) -> str:
    """Return the last line of the project's own code through which an error came."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_own(frame.filename)]
    last = own[-1] if own else frames[-1]
    return f"{os.path.relpath(last.filename, ROOT)}:{last.name}"


def _is_own(file: str) -> bool:
    return file.startswith((f"{ROOT}/runtime/", f"{ROOT}/operator/"))


@contextmanager
def bounded() -> Iterator[None]:
    """Bound memory and the CPU time for an input; warnings are what they are in production.

    The bounds are of the whole process: address space, and CPU time, which does not pass on a busy machine.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGVTALRM, _end)
    resource.setrlimit(resource.RLIMIT_AS, (_address_space() + MEMORY_BYTES, hard))
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGVTALRM, before)


def _end(_number: int, _frame: FrameType | None) -> None:
    raise EndlessError


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def shrunk(target: Target, finding: Finding) -> Finding:
    """Cut pieces out of an input, as long as the problem stays the same; not where each try takes long."""
    if finding.problem.startswith(EndlessError.__name__):
        return finding
    smallest, tries = finding, 0
    size = len(finding.data) // 2
    while size and tries < _SHRINKING_TRIES:
        start = 0
        while start < len(smallest.data) and tries < _SHRINKING_TRIES:
            tries += 1
            data = smallest.data[:start] + smallest.data[start + size :]
            found = decode(target, data)
            if isinstance(found, Finding) and found.problem == finding.problem:
                smallest = found
            else:
                start += size
        size //= 2
    return smallest
