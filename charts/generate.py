"""Writes what follows from other files: schema and README from values.yaml, the CRD from the spec.

``python charts/generate.py [CHART]`` writes into the folder CHART, by default the one beside this file.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from pslgs_operator.crd.definition import as_yaml, custom_resource_definition

CHART: Final = Path(__file__).parent / "pslgs"
_TYPES: Final[Mapping[type, str]] = {
    bool: "boolean",
    int: "integer",
    str: "string",
    list: "array",
    dict: "object",
}
_DIRECTIVE: Final = re.compile(r"@(schema|keys|required)(?: (.*))?")


class CommentError(Exception):
    """A value's comment says too little; the text tells which and what."""


@dataclass(frozen=True, slots=True)
class Value:
    """One value of values.yaml.

    Attributes:
        path: Such as ``image.tag``.
        description: The comment above it.
        schema: What its directives say.
        required: Whether the chart cannot be rendered without it.  Values are absent if users set them to
            null, or if they are newer than the values that ``helm upgrade --reuse-values`` reuses.
        parts: The values in it; none where a directive says what may be in it.
    """

    path: str
    default: Any
    description: str
    schema: Mapping[str, Any]
    required: bool
    parts: tuple["Value", ...]


def read_values(text: str) -> tuple[Value, ...]:
    """Read values and the comments above them.

    Raises:
        CommentError: a value has no comment, or what may be in it isn't said.
    """
    document = yaml.compose(text)
    if not isinstance(document, yaml.MappingNode):
        raise CommentError("there are no values")
    return tuple(_values(document, text.splitlines(), ""))


def _values(node: yaml.MappingNode, lines: Sequence[str], prefix: str) -> Iterator[Value]:
    for key, value in node.value:
        path = prefix + key.value
        comment = _comment_above(lines, key.start_mark.line)
        if not comment:
            raise CommentError(f"{path} has no comment; say above it what it is")
        default = yaml.safe_load(yaml.serialize(value))
        directives = {match[1]: match[2] for line in comment if (match := _DIRECTIVE.fullmatch(line))}
        prose = " ".join(line for line in comment if not _DIRECTIVE.fullmatch(line))
        explained = {"schema", "keys"} & directives.keys()
        open_ended = explained or not isinstance(value, yaml.MappingNode)
        parts = () if open_ended else tuple(_values(value, lines, f"{path}."))
        if not default and isinstance(default, list | dict) and not explained:
            raise CommentError(f"{path} is empty; say by @keys or @schema what may be in it")
        yield Value(path, default, prose, _schema_of(directives, default), "required" in directives, parts)


def _comment_above(lines: Sequence[str], line: int) -> list[str]:
    comment: list[str] = []
    while line > 0 and lines[line - 1].strip().startswith("#"):
        line -= 1
        comment.insert(0, lines[line].strip().removeprefix("#").strip())
    return comment


def _schema_of(directives: Mapping[str, str], default: object) -> dict[str, Any]:
    schema: dict[str, Any] = yaml.safe_load(directives.get("schema", "{}"))
    if keys := directives.get("keys"):
        closed = {
            "type": "object",
            "properties": {key: {} for key in keys.split()},
            "additionalProperties": False,
        }
        schema |= {"items": closed} if isinstance(default, list) else closed
    return schema


def as_schema(values: Sequence[Value]) -> dict[str, Any]:
    """Return the JSON schema: there is nothing but what has a default."""
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", **_closed(values)}
    # Helm gives a subchart the values that all charts share.
    schema["properties"]["global"] = {"type": "object", "description": "Given by a parent chart; ignored."}
    return schema


def _schema(value: Value) -> dict[str, Any]:
    schema = {"type": _TYPES[type(value.default)], "description": value.description, **value.schema}
    return schema | (_closed(value.parts) if value.parts else {})


def _closed(values: Sequence[Value]) -> dict[str, Any]:
    properties = {value.path.rpartition(".")[2]: _schema(value) for value in values}
    required = [value.path.rpartition(".")[2] for value in values if value.required]
    return {
        "properties": properties,
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def as_readme(chart: Mapping[str, Any], values: Sequence[Value]) -> str:
    """Return the README: a table of all values."""
    head = f"""<!-- Generated from values.yaml by `make generate`. -->
# {chart["name"]}

{chart["description"]}.
[docs/install.md](../../docs/install.md) describes how to install, upgrade and uninstall it.

Values that are not listed here are refused.

| value | default | description |
| --- | --- | --- |
"""
    return head + "".join(f"{row}\n" for row in _rows(values))


def _rows(values: Sequence[Value]) -> Iterator[str]:
    for value in values:
        default = "" if value.parts else f"`{json.dumps(value.default)}`"
        yield f"| `{value.path}` | {default} | {value.description} |"
        yield from _rows(value.parts)


def main(chart: Path) -> None:
    """Write all files.

    Raises:
        CommentError: values.yaml says too little.
    """
    values = read_values((CHART / "values.yaml").read_text())
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    (chart / "files").mkdir(parents=True, exist_ok=True)
    (chart / "values.schema.json").write_text(json.dumps(as_schema(values), indent=2) + "\n")
    (chart / "README.md").write_text(as_readme(about, values))
    (chart / "files" / "splittrainingjobs.yaml").write_text(as_yaml(custom_resource_definition()))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else CHART)
