"""Manifests in YAML, parsed by the same rules as kubectl parses them."""

import re
from pathlib import Path
from typing import Any

import yaml

from pslgs.spec.errors import InputError


class _Loader(yaml.SafeLoader):
    """A YAML loader that resolves scalars as the API server does.

    ``1e-3`` is a number, ``12:30`` and dates are text, and a duplicate key is an error.  PyYAML's
    `SafeLoader` does none of these.
    """

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


def _error_at(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


_KEY_TAGS = {"tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"}
_NUMBER_TAGS = {"tag:yaml.org,2002:" + kind for kind in ("int", "float", "timestamp")}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|0b[01_]+|0[0-7_]+)$")
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
