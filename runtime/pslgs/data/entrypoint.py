"""A user's own dataset, named as ``package.module:function``."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from pslgs.spec.errors import InputError


def load_entrypoint(name: str, field: str) -> Callable[..., Any]:
    """Import what ``package.module:function`` names.

    Raises:
        InputError: the name is malformed, the module cannot be imported or has no such function.
    """
    module_name, separator, function_name = name.partition(":")
    if not (module_name and separator and function_name):
        raise InputError.at(field, f"is '{name}'; write it as package.module:function")
    try:
        found: object = getattr(import_module(module_name), function_name)
    except ImportError as error:
        raise InputError.at(
            field, f"cannot import '{module_name}' ({error}); is it on PYTHONPATH?"
        ) from error
    except AttributeError as error:
        raise InputError.at(field, f"finds no '{function_name}' in module '{module_name}'") from error
    if not callable(found):
        raise InputError.at(field, f"names '{function_name}', which is no function")
    return found
