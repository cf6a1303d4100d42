"""From pydantic's JSON schema to the structural OpenAPI schema that a custom resource definition needs."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import TypeAdapter

from pslgs.spec.scalars import INT32_MAX, INT64_MAX, PATTERN_WORDS
from pslgs_operator.crd.cel import Rule, literal
from pslgs_operator.crd.rules import CLUSTER_RULES, RULES

Schema = dict[str, Any]

_TAKEN_OVER: Final = (
    "type",
    "enum",
    "minimum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "maxProperties",
    "x-kubernetes-int-or-string",
    "format",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "required",
)
_FORMATS: Final[Mapping[object, str]] = {INT32_MAX: "int32", INT64_MAX: "int64"}
"""The highest integer -> how wide it is."""

_ANYTHING: Final[Mapping[str, Any]] = {"x-kubernetes-preserve-unknown-fields": True, "nullable": True}
_NOTHING: Final[tuple[object, ...]] = (None, {}, [])
"""Defaults that mean the same as a field that is not there."""

_RULES: Final[Mapping[str, tuple[Rule, ...]]] = {
    model.__name__: RULES.get(model, ()) + CLUSTER_RULES.get(model, ())
    for model in {**RULES, **CLUSTER_RULES}
}


def structural_schema(model: type[Any]) -> Schema:
    """Describe a pydantic model as it is written: fields, descriptions, defaults, bounds and rules."""
    document = TypeAdapter(model).json_schema(by_alias=True, mode="serialization")
    return _structural(document, document.get("$defs", {}))


def _structural(node: Schema, definitions: Mapping[str, Schema]) -> Schema:
    whole = _inlined(node, definitions)
    return {
        **_description(whole),
        **{key: whole[key] for key in _TAKEN_OVER if key in whole},
        **_upper_and_open_bounds(whole),
        **_default(whole),
        **_contents(whole, definitions),
        **_validations(whole),
    }


def _inlined(node: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """Put a definition, and the only alternative to null, in the place where they are named."""
    if "$ref" in node:
        return {**definitions[node["$ref"].rpartition("/")[2]], **node}
    alternatives = [each for each in node.get("anyOf", ()) if each != {"type": "null"}]
    if len(alternatives) == 1:
        return {**_inlined(alternatives[0], definitions), **node}
    return node


def _description(whole: Schema) -> Schema:
    words = " ".join(whole.get("description", "").replace("``", "").split())
    if "examples" in whole:
        words += f" For example: {', '.join(whole['examples'])}."
    return {"description": words} if words else {}


def _upper_and_open_bounds(whole: Schema) -> Schema:
    """Write bounds as OpenAPI 3.0 does, and those of integers as formats."""
    bounds: Schema = {}
    if whole.get("type") == "number":
        bounds["format"] = "double"
    if "maximum" in whole:
        highest = whole["maximum"]
        bounds |= {"format": _FORMATS[highest]} if highest in _FORMATS else {}
        # The API server bounds no integer by its format, and would round 2^63 − 1 up to what overflows.
        bounds |= {"maximum": highest} if highest != INT64_MAX else {}
    for name in ("minimum", "maximum"):
        exclusive = f"exclusive{name.capitalize()}"
        if exclusive in whole:
            bounds |= {name: whole[exclusive], exclusive: True}
    return bounds


def _default(whole: Schema) -> Schema:
    """Write a part's default in full: the API server holds it against the part's rules as it is."""
    value = _without_nothing(whole.get("default"))
    return {} if value in _NOTHING else {"default": value}


def _without_nothing(value: object) -> object:
    if not isinstance(value, dict):
        return value
    inner = {name: _without_nothing(each) for name, each in value.items()}
    return {name: each for name, each in inner.items() if each not in _NOTHING}


def _contents(whole: Schema, definitions: Mapping[str, Schema]) -> Schema:
    contents: Schema = {}
    if "properties" in whole:
        contents["properties"] = {
            name: _structural(inner, definitions) for name, inner in whole["properties"].items()
        }
    if "items" in whole:
        contents["items"] = _structural(whole["items"], definitions)
    others = whole.get("additionalProperties", False)
    if isinstance(others, dict):
        contents["additionalProperties"] = _structural(others, definitions)
    elif others and "properties" in whole:
        contents["x-kubernetes-preserve-unknown-fields"] = True
    elif others:
        # Not on the map itself: two maps with other names but the same number of them would be equal to CEL.
        contents["additionalProperties"] = dict(_ANYTHING)
    return contents


def _validations(whole: Schema) -> Schema:
    """Name the rules of a part, and the shape of a text in words instead of a pattern."""
    rules = [rule.to_json() for rule in _RULES.get(whole.get("title", ""), ())]
    if pattern := whole.get("pattern"):
        shape = Rule("", f"self.matches({literal(pattern)})", f"is '«self»', {PATTERN_WORDS[pattern]}")
        rules.append(shape.to_json())
    return {"x-kubernetes-validations": rules} if rules else {}
