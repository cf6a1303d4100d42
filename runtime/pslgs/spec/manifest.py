"""Reading a manifest: YAML, overrides from the command line, validation."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from pslgs.spec.errors import InputError, Violation
from pslgs.spec.job import API_VERSION, KIND, SplitTrainingJob
from pslgs.spec.violations import path_of, violations_of


class _Loader(yaml.SafeLoader):
    """A YAML loader that resolves scalars as the API server does.

    ``1e-3`` is a number, ``12:30`` and dates are text, and a duplicate key is an error.  PyYAML's
    `SafeLoader` does none of these.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._depth += 1
        if self._depth > _DEPTH_LIMIT:
            raise yaml.MarkedYAMLError(
                problem=f"it is nested more than {_DEPTH_LIMIT} levels deep",
                problem_mark=self.current_event.start_mark,
            )
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def compose_document(self) -> yaml.Node | None:
        node = super().compose_document()
        if node is not None:
            _size(node, {})
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: ANN401, FBT001, FBT002 - PyYAML's signature
        try:
            value = super().construct_object(node, deep)
            if isinstance(value, str):
                value.encode()  # half of a surrogate pair, as in "\\ud800", could not be shown or stored
        except (ValueError, LookupError, AttributeError) as error:
            kind = node.tag.rpartition(":")[2]
            raise _error_at(node, f"a value cannot be read as {kind} (quote it if it is text)") from error
        return value

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:  # noqa: ANN401 - PyYAML's signature
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag not in _KEY_TAGS:
                raise _error_at(key, "a field name must be text (quote it)")
            if key.value in seen:
                raise _error_at(key, f"{key.value} is given twice")
            seen.add(key.value)
        return node


_MOST_VALUES: Final = 1_000_000


def _size(node: yaml.Node, known: dict[int, int | None]) -> int:
    """Count the values that a node stands for; ``known`` holds those of the nodes that were counted before.

    Raises:
        MarkedYAMLError: aliases repeat each other so often that nobody could read the result, or without end.
    """
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in known:
        known[id(node)] = None
        pairs = node.value if isinstance(node, yaml.MappingNode) else [node.value]
        known[id(node)] = 1 + sum(_size(member, known) for pair in pairs for member in pair)
    size = known[id(node)]
    if size is None:
        raise _error_at(node, "an alias stands for what it is a part of")
    if size > _MOST_VALUES:
        raise _error_at(node, f"its aliases stand for more than {_MOST_VALUES:,} values")
    return size


def _error_at(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


_DEPTH_LIMIT: Final = 64
"""Levels of a document; a manifest needs about ten, and Python's own limit is no error of a user."""

_KEY_TAGS = {"tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"}
_NUMBER_TAGS = {"tag:yaml.org,2002:" + kind for kind in ("int", "float", "timestamp")}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9_]*|0x_*[0-9a-fA-F][0-9a-fA-F_]*|0b_*[01][01_]*|0[0-7_]+)$")
_REAL = re.compile(
    r"([-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$"
)

_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _NUMBER_TAGS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", _INTEGER, list("-+0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _REAL, list("-+0123456789."))


def read_document(path: Path) -> object:
    """Read the YAML document in a file; None where the file is empty.

    Raises:
        InputError: the file cannot be read, is not valid YAML, or holds several documents.
    """
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise InputError.at(str(path), f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError.at(str(path), "is not UTF-8 text; give a manifest in YAML") from error
    except ValueError as error:
        raise InputError.at(str(path), f"cannot be the name of a file: {error}") from error
    return parse_yaml(text, str(path))


def parse_yaml(text: str, source: str) -> object:
    """Parse a text with one YAML document; None where the text is empty.

    Args:
        text: The text to parse.
        source: Name of the file or option that the text comes from, for error messages.

    Raises:
        InputError: the text is not valid YAML, or holds several documents.
    """
    try:
        documents = [each for each in yaml.load_all(text, Loader=_Loader) if each is not None]
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InputError.at(source + line, f"is not valid YAML: {_explanation(error)}") from error
    except yaml.YAMLError as error:
        raise InputError.at(source, f"is not valid YAML: {' '.join(str(error).split())}") from error
    if len(documents) > 1:
        raise InputError.at(source, f"holds {len(documents)} documents; give one manifest per file")
    return documents[0] if documents else None


def _explanation(error: yaml.MarkedYAMLError) -> str:
    if error.problem is None or error.context is None or error.context_mark is None:
        return error.problem or error.context or "it cannot be parsed"
    return f"{error.problem} {error.context} that begins in line {error.context_mark.line + 1}"


_DOT: Final = re.compile(r"(?<!\\)\.")
"""An unescaped dot; ``\\.`` is a dot within a name, as in ``nodeSelector.pslgs\\.dev/edge``."""
_INDEX: Final = re.compile(r"[0-9]{1,9}")


def with_overrides(document: object, overrides: Sequence[str]) -> object:
    """Return a copy of the document with values replaced, e.g. by ``spec.epochs=3``.

    Values are parsed as YAML.  Missing mappings along a path are created.  Numbers in a path index
    lists (``spec.data.transforms.0.size=28``); the length of a list as index appends to it.

    Raises:
        InputError: an override does not have the form path=value, or its path leads through a scalar
            or past the end of a list.
    """
    for override in overrides:
        path, equals, value = override.partition("=")
        if not equals or not path:
            raise InputError.at("--set", f"is '{override}', must read path=value, e.g. spec.epochs=3")
        document = with_value(document, _keys(path), parse_yaml(value, path))
    return document


def with_value(document: object, keys: Sequence[str], value: object) -> object:
    """Return a copy of the document with ``value`` at a path; see `with_overrides`.

    Raises:
        InputError: the path leads through a scalar or past the end of a list.
    """
    return _with_value(document, keys, 0, value)


def _keys(path: str) -> tuple[str, ...]:
    dotted = re.sub(r"\[(\d+)\]", r".\1", path)
    keys = tuple(key.replace("\\.", ".") for key in _DOT.split(dotted))
    if len(keys) > _DEPTH_LIMIT:
        raise InputError.at("--set", f"names a field {len(keys)} levels deep; at most {_DEPTH_LIMIT} can be")
    return keys


def _with_value(container: object, keys: Sequence[str], depth: int, value: object) -> object:
    """Return a copy of the container with ``value`` at the path ``keys[depth:]``."""
    if depth == len(keys):
        return value
    if container is None:
        container = [] if keys[depth] == "0" else {}
    if isinstance(container, list):
        return _list_with_value(container, keys, depth, value)
    if not isinstance(container, dict):
        raise InputError.at(path_of(keys[:depth]), f"is {container!r}, so {keys[depth]} cannot be set in it")
    return {**container, keys[depth]: _with_value(container.get(keys[depth]), keys, depth + 1, value)}


def _list_with_value(entries: list[Any], keys: Sequence[str], depth: int, value: object) -> list[Any]:
    if not _INDEX.fullmatch(keys[depth]) or int(keys[depth]) > len(entries):
        raise InputError.at(
            path_of(keys[:depth]),
            f"is a list of {len(entries)}, so {keys[depth]} must be a number up to {len(entries)}",
        )
    index = int(keys[depth])
    old = entries[index] if index < len(entries) else None
    return [*entries[:index], _with_value(old, keys, depth + 1, value), *entries[index + 1 :]]


def load_job(path: Path | str, overrides: Sequence[str] = ()) -> SplitTrainingJob:
    """Load the manifest in a file and apply ``overrides`` such as ``spec.epochs=3`` to it.

    Raises:
        InputError: the manifest cannot be read or is invalid; it holds every violation.
    """
    return parse_job(with_overrides(read_document(Path(path)), overrides))


def parse_job(document: object) -> SplitTrainingJob:
    """Validate a manifest given as mappings, lists and scalars; a ``status`` in it is ignored.

    Raises:
        InputError: the manifest is invalid; it holds every violation.
    """
    try:
        return validated(document)
    except ValidationError as error:
        raise InputError(*violations_of(error, SplitTrainingJob)) from error


def validated(document: object) -> SplitTrainingJob:
    """Validate a manifest as `parse_job` does, but leave pydantic's error as it is.

    Raises:
        InputError: it is no manifest of this kind and version.
        ValidationError: it has violations.
    """
    if not isinstance(document, Mapping):
        raise InputError.at(
            "", f"the manifest must be a mapping with apiVersion, kind, metadata and spec of a {KIND}"
        )
    if wrong_kind := tuple(_kind_violations(document)):
        raise InputError(*wrong_kind)
    fields = {name: value for name, value in document.items() if name != "status"}
    return SplitTrainingJob.model_validate(fields, by_alias=True, by_name=False)


def _kind_violations(document: Mapping[str, object]) -> Iterator[Violation]:
    """Check apiVersion and kind alone, because every field of another kind of object would be a violation."""
    for name, expected in (("apiVersion", API_VERSION), ("kind", KIND)):
        given = document.get(name)
        if given != expected:
            was = "is missing" if given is None else f"is {given!r}"
            yield Violation(name, f"{was}, must be {expected}")
