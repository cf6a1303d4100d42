"""Translation of pydantic's errors into violations for people who write YAML."""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from pslgs.spec.base import RULE
from pslgs.spec.errors import Violation
from pslgs.spec.foreign_words import folded, our_field, our_value, says_little, why_no_field
from pslgs.spec.scalars import PATTERN_WORDS

Location = Sequence[int | str]
Context = Mapping[str, Any]

MANIFEST: Final = "SplitTrainingJob"
"""The model for whose fields words of other libraries are known."""

_LONGEST_SHOWN: Final = 60
_HARDLY_MISSPELT: Final = 0.85
"""Similarity from which a name is one of this part, although another part has a field of this name."""

_MUST_BE: Final[Mapping[str, str | Callable[[Context], str]]] = {
    "int_type": "must be an integer",
    "int_from_float": "must be an integer",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "string_type": "must be text (quote it)",
    "tuple_type": "must be a list",
    "mapping_type": "must be a mapping of names to values",
    "dict_type": "must be a mapping of names to values",
    "model_type": "must be a mapping of fields",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "string_pattern_mismatch": lambda context: PATTERN_WORDS[context["pattern"]],
    "count_or_percentage": "must be a number of clients, at least 1, or a percentage from '1%' to '100%'",
    "enum": lambda context: "must be one of " + ", ".join(_quoted(context)),
    "literal_error": lambda context: "must be " + " or ".join(_quoted(context)),
}
"""Type of an error -> requirement for the value, which continues the sentence "is …, "."""


def violations_of(error: ValidationError, root: type[BaseModel]) -> tuple[Violation, ...]:
    """Return the violations behind a pydantic error; ``root`` is the model that was validated."""
    details = error.errors(include_url=False)
    return tuple(
        Violation(path_of(each["loc"]), _problem(each, root))
        for each in details
        if not _follows_from_another(each, details)
    )


def _follows_from_another(error: ErrorDetails, all_errors: Sequence[ErrorDetails]) -> bool:
    """Return whether a list counts as too short only because entries in it are invalid."""
    length = len(error["loc"])
    return error["type"] == "too_short" and any(
        other["loc"][:length] == error["loc"] and len(other["loc"]) > length for other in all_errors
    )


def path_of(location: Location) -> str:
    """Format a location as a path in the manifest: ``spec.data.transforms[0].size``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(
        "."
    )


def nearest(name: object, known: Sequence[str], similarity: float = 0.6) -> str:
    """Return "; did you mean …?" with the known name most similar to ``name``; empty if none is similar."""
    ours = {folded(each): each for each in known}
    found = difflib.get_close_matches(folded(name), ours, n=1, cutoff=similarity)
    return f"; did you mean {ours[found[0]]}?" if found else ""


def _problem(error: ErrorDetails, root: type[BaseModel]) -> str:
    kind, location, context = error["type"], error["loc"], error.get("ctx", {})
    if kind == RULE:
        return error["msg"]
    if kind == "missing":
        return f"is missing; give it ({_description(root, location)})"
    if kind == "extra_forbidden":
        return _unknown(root, location)
    shown, words = _shown(error["input"]), _MUST_BE.get(kind)
    if words is None:
        return f"is {shown}: {error['msg']}"
    must_be = words(context) if callable(words) else words.format(**_plain(context))
    return f"is {shown}, {must_be}{_hint(error['input'], _quoted(context)) if 'expected' in context else ''}"


def _hint(value: object, allowed: Sequence[str]) -> str:
    meant = our_value(value, allowed)
    return f"; give {meant}" if meant else nearest(value, allowed)


def _plain(context: Context) -> Context:
    """Replace floats that are whole numbers by integers, so that 1.0 is shown as 1."""
    return {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in context.items()
    }


def _unknown(root: type[BaseModel], location: Location) -> str:
    known = [field.alias or name for name, field in _fields(root, location[:-1]).items()]
    name, place = location[-1], path_of(location[:-1])
    hint = None
    if folded(name) not in map(folded, known) and root.__name__ == MANIFEST:
        hint = _hint_from_elsewhere(root, name, place, known)
    return hint or "is unknown" + (nearest(name, known) or f"; the known fields are {', '.join(known)}")


def _hint_from_elsewhere(root: type[BaseModel], name: object, place: str, known: Sequence[str]) -> str | None:
    """Say what to give for a word of another library or of another part of the manifest."""
    if meant := our_field(name, place):
        return f"is unknown; give {meant}"
    if reason := why_no_field(name):
        return f"is unknown and not needed: {reason}"
    if nearest(name, known, _HARDLY_MISSPELT):
        return None  # it is rather a field of this part, such as clients for client
    elsewhere = [each for each in _paths(root) if folded(each.rpartition(".")[2]) == folded(name)]
    below = [each for each in elsewhere if each.startswith(f"{place}.")]
    found = below if says_little(name) else elsewhere
    return f"is unknown here; give {found[0]}" if len(found) == 1 else None


def _paths(model: type[BaseModel], path: str = "") -> Iterator[str]:
    """Yield the paths of all fields."""
    for name, field in model.model_fields.items():
        here = f"{path}.{field.alias or name}".removeprefix(".")
        yield here
        for inner in _models(field.annotation):
            yield from _paths(inner, here)


def _description(root: type[BaseModel], location: Location) -> str:
    field = next(field for field in _fields(root, location[:-1]).values() if field.alias == location[-1])
    first, _, _ = (field.description or "a value").partition(". ")
    words = first.rstrip(".")
    return words[0].lower() + words[1:]


def _fields(root: type[BaseModel], location: Location) -> Mapping[str, FieldInfo]:
    """Return the fields of the part of the manifest at ``location``."""
    model = root
    for part in location:
        if isinstance(part, str):
            annotation = next(
                field.annotation for field in model.model_fields.values() if field.alias == part
            )
            model = next(_models(annotation))
    return model.model_fields


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _quoted(context: Context) -> list[str]:
    return re.findall(r"'([^']*)'", context["expected"])


def _shown(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "empty", True: "true", False: "false"}[value]
    if isinstance(value, dict | list | tuple):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"
