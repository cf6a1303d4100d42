"""The definition as a document: every field with its type, default and meaning."""

from collections.abc import Iterator
from typing import Any, Final

from pslgs.spec.job import KIND
from pslgs_operator.crd.openapi import Schema

_HEADER: Final = f"""# Reference of {KIND}

<!-- Generated from pslgs.spec by `python -m pslgs_operator.crd reference`; change it there. -->

`kubectl explain stj.spec` prints the same. A field whose default is empty may be left out.
"""


def as_markdown(definition: dict[str, Any]) -> str:
    """Write a section for each part of the spec and the status: its fields, and what is refused."""
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    sections = (_section(name, schema["properties"][name]) for name in ("spec", "status"))
    return "\n".join([_HEADER, *_refusals(schema), *(line for section in sections for line in section)])


def _section(path: str, part: Schema) -> Iterator[str]:
    """Write a part, and then the parts in it."""
    fields = part["properties"]
    yield from (f"## {path}", "", part["description"], "", "| field | type | default | meaning |")
    yield "| --- | --- | --- | --- |"
    for name, field in fields.items():
        yield _row(name, field, required=name in part.get("required", ()))
    yield ""
    yield from _refusals(part)
    for name, field in fields.items():
        if "properties" in field:
            yield from _section(f"{path}.{name}", field)
        elif "properties" in field.get("items", ()):
            yield from _section(f"{path}.{name}[]", field["items"])


def _refusals(part: Schema) -> Iterator[str]:
    if rules := part.get("x-kubernetes-validations"):
        yield from ("Refused:", "")
        yield from dict.fromkeys(f"- `{_blamed(rule)}` {rule['message']}" for rule in rules)
        yield ""


def _blamed(rule: Schema) -> str:
    path: str = rule["fieldPath"]
    return path.removeprefix(".")


def _row(name: str, field: Schema, *, required: bool) -> str:
    meaning = field["description"].replace("|", "\\|")
    if "enum" in field:
        meaning += f" One of {', '.join(field['enum'])}."
    return f"| `{name}` | {_type(field)} | {'required' if required else _default(field)} | {meaning} |"


def _type(field: Schema) -> str:
    if "x-kubernetes-int-or-string" in field:
        return "integer or text"
    if "items" in field:
        return f"list of {_type(field['items'])}"
    if field["type"] == "object":
        return "object" if "properties" in field else "mapping"
    return {"string": "text", "integer": "integer", "number": "number", "boolean": "boolean"}[field["type"]]


def _default(field: Schema) -> str:
    default = field.get("default", "")
    if isinstance(default, bool):
        return str(default).lower()
    return "see below" if isinstance(default, dict) else str(default)
