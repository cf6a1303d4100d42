"""Users' functions that the manifest names: their import, and the exceptions of their code."""

import importlib
import sysconfig
import traceback
from asyncio import CancelledError
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pslgs.spec.errors import InputError

_LONGEST_MESSAGE: Final = 300
_LIBRARIES: Final = (
    *(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    str(Path(__file__).parents[1]),
)
"""Folders whose files are not the user's."""
_MACHINE_ERRORS: Final = frozenset({"AcceleratorError", "OutOfMemoryError", "ProcessLostError"})
"""Names of exceptions for a GPU that fails or is full, or a process that ended, which may go well again."""
_MACHINE_PROBLEMS: Final = ("CUDA error", "cuDNN error", "CUBLAS_STATUS", "DefaultCPUAllocator")
"""Words in the messages of such errors that are plain RuntimeErrors."""


@contextmanager
def user_code(
    path: str, problem: Callable[[str], str] = "failed with {}".format, kind: type[InputError] = InputError
) -> Iterator[None]:
    """Run code of a user in the block, and raise its exceptions as errors of the input.

    This is the only place where any exception is caught, because a user's code may raise any, also
    `SystemExit`, or that of a library in another language, which is no `Exception`.  These pass unchanged: an
    `InputError`, an error of the machine, such as a GPU without free memory, and what ends a process, a task
    or a generator from outside.

    Args:
        path: Path of the manifest field that names the code.
        problem: Returns what is wrong, given the cause: type, message and place of the exception.
        kind: Type of the error that is raised.

    Raises:
        InputError: the block raised an exception, which is the cause of this one.
    """
    try:
        yield
    except (InputError, KeyboardInterrupt, GeneratorExit, CancelledError):
        raise
    except BaseException as error:
        if _is_of_the_machine(error):
            raise
        raise kind.at(path, problem(described(error))) from error


def _is_of_the_machine(error: BaseException) -> bool:
    if type(error).__name__ in _MACHINE_ERRORS:
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _MACHINE_PROBLEMS)


def described(error: BaseException) -> str:
    """Return type, message and place in the user's code of an exception, on one line."""
    found = traceback.TracebackException.from_exception(error, lookup_lines=False)
    message = " ".join(str(found).split())  # also of an exception whose __str__ fails
    if len(message) > _LONGEST_MESSAGE:
        message = message[:_LONGEST_MESSAGE] + " …"
    frames = [frame for frame in found.stack if not frame.filename.startswith(("<", *_LIBRARIES))]
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {message}{place}" if message else f"{type(error).__name__}{place}"


def load_entrypoint(entrypoint: str, path: str) -> Callable[..., Any]:
    """Import the function that ``entrypoint`` names.

    Args:
        entrypoint: Name in the form ``package.module:function``.
        path: Path of the manifest field that holds the name, for error messages.

    Raises:
        InputError: the name has another form, the module cannot be imported, or has no such function.
    """
    module_name, _, function_name = entrypoint.partition(":")
    if not module_name or not function_name:
        raise InputError.at(path, f"'{entrypoint}' must have the form package.module:function.")
    with user_code(
        path,
        lambda cause: f"'{module_name}' cannot be imported ({cause}); put the package on the Python path.",
    ):
        module = importlib.import_module(module_name)
        function = getattr(module, function_name, None)
    if not callable(function):
        problem = f"'{module_name}' has no function '{function_name}'; name an existing one."
        raise InputError.at(path, problem)
    result: Callable[..., Any] = function
    return result
