"""Writes what is derived from other files: schema, README and CRD of the chart, and docs/reference/rbac.md.

``python charts/generate.py [CHART]`` writes into the folder CHART, by default the one beside this file; the
folder docs is beside the parent of CHART.
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
[docs/how-to/install.md](../../docs/how-to/install.md) describes how to install, upgrade and uninstall it.

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


@dataclass(frozen=True, slots=True)
class Right:
    """A right in a template, and the reason that a comment gives for it.

    Attributes:
        resource: The resource, with its API group in brackets unless it is the core group.
        reason: Empty if the comment gives none.
    """

    resource: str
    verbs: tuple[str, ...]
    reason: str


_RULE: Final = re.compile(
    r"- apiGroups: \[(?P<group>[^]]*)\] *\n"
    r" *resources: \[(?P<resources>[^]]*)\] *\n"
    r"(?: *resourceNames: \[(?P<names>[^]]*)\].*\n)?"
    r" *verbs: \[(?P<verbs>[^]]*)\](?: *# (?P<comment>.*))?"
)
_SCOPES: Final[Mapping[str, str]] = {
    "pslgs.rules": "The operator in each namespace with jobs",
    "pslgs.nodeRules": "The operator in the whole cluster",
    "pslgs.ownRules": "The operator in its own namespace",
    "leaderelection.yaml": "The operator in its own namespace: the Lease of its replicas",
    "userroles.yaml": "Users with the roles view, edit and admin",
}
"""Where rules apply, by the template that defines them, or else by its file."""


def read_rights(templates: Path) -> Iterator[tuple[str, Sequence[Right]]]:
    """Read the rules of each template and where they apply; the comment behind ``verbs`` gives the reasons.

    ``# REASON; VERB, VERB: REASON`` is the reason for all verbs, but for those that have one of their own.
    """
    for file in sorted(templates.rglob("*.*")):
        for part in re.split(r"\n(?={{-? *define )", file.read_text()):
            defined = re.match(r"{{-? *define \"(.*?)\"", part)
            name = defined[1] if defined else file.name
            rights = [right for rule in _RULE.finditer(part) for right in _rights(rule)]
            if rights:
                yield _SCOPES.get(name, name), rights


def _rights(rule: "re.Match[str]") -> Iterator[Right]:
    verbs, reasons, general = rule["verbs"].split(", "), dict[str, str](), ""
    for part in (rule["comment"] or "").split("; "):
        named, colon, reason = part.partition(": ")
        if colon and set(named.split(", ")) <= set(verbs):
            reasons |= dict.fromkeys(named.split(", "), reason)
        else:
            general = f"{general}; {part}" if general else part
    group = rule["group"].strip('"')
    for resource in rule["resources"].split(", "):
        name = f"`{resource}`" + (f" ({group})" if group else "") + _named(rule["names"])
        for reason in dict.fromkeys([general, *reasons.values()]):
            if of_reason := tuple(verb for verb in verbs if reasons.get(verb, general) == reason):
                yield Right(name, of_reason, reason)


def _named(names: str | None) -> str:
    if names is None:
        return ""
    return " of the name of the Deployment" if "{{" in names else f" called {names}"


def as_rights(scopes: Sequence[tuple[str, Sequence[Right]]]) -> str:
    """Return docs/reference/rbac.md: a table of the rights of each scope."""
    head = """<!-- Generated from comments in the chart's templates by `make generate`. -->
# Rights

The roles of the chart grant these rights, and no others. The rights in namespaces with jobs are granted by a
ClusterRole or, with `watchNamespaces`, by a Role in each of them.
[install.md](../how-to/install.md) describes the values `rbac.create` and `rbac.clusterRoles`.
"""
    return head + "".join(
        f"\n## {scope}\n\n| resource | verbs | reason |\n| --- | --- | --- |\n{_table(rights)}"
        for scope, rights in scopes
    )


def _table(rights: Sequence[Right]) -> str:
    return "".join(f"| {each.resource} | {', '.join(each.verbs)} | {each.reason} |\n" for each in rights)


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
    reference = chart.parents[1] / "docs" / "reference"
    reference.mkdir(parents=True, exist_ok=True)
    (reference / "rbac.md").write_text(as_rights(list(read_rights(CHART / "templates"))))
    (chart / "files" / "splittrainingjobs.yaml").write_text(as_yaml(custom_resource_definition()))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else CHART)
