"""Import of user functions that the manifest names as ``package.module:function``."""

import importlib
from collections.abc import Callable
from typing import Any

from pslgs.spec.errors import InputError

_IMPORT_FAILURES = (ImportError, SyntaxError, NameError, AttributeError, TypeError, ValueError, RuntimeError)


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
    try:
        module = importlib.import_module(module_name)
    except _IMPORT_FAILURES as failure:
        problem = f"'{module_name}' cannot be imported ({failure}); put the package on the Python path."
        raise InputError.at(path, problem) from failure
    function = getattr(module, function_name, None)
    if not callable(function):
        problem = f"'{module_name}' has no function '{function_name}'; name an existing one."
        raise InputError.at(path, problem)
    result: Callable[..., Any] = function
    return result
