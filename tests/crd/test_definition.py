"""The definition is generated: it says what `pslgs.spec` says, and no more than the API server allows."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from crd.jobs import DEFINITION, REPOSITORY
from pslgs.spec import JobSpec
from pslgs.spec.compatibility import OPERATOR_FIELDS, RUNTIME_FIELDS, is_within
from pslgs_operator.crd.definition import as_yaml, custom_resource_definition
from pslgs_operator.crd.reference import as_markdown
from spec.fields import all_fields

REFERENCE = REPOSITORY / "docs" / "reference" / "fields.md"
VERSION = custom_resource_definition()["spec"]["versions"][0]
SCHEMA = VERSION["schema"]["openAPIV3Schema"]
FIELDS = dict(all_fields(JobSpec))


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """All schemas in a schema, with their paths; an entry of a list has its list's path and []."""
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from nodes(inner, f"{path}.{name}".removeprefix("."))
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from nodes(schema["additionalProperties"], f"{path}{{}}")


NODES = dict(nodes(SCHEMA))


def schema_of(path: str) -> dict[str, Any]:
    node = SCHEMA["properties"]["spec"]
    for name in path.split("."):
        node = node.get("items", node)["properties"][name]
    return node


def test_the_committed_definition_is_the_generated_one() -> None:
    assert DEFINITION.read_text() == as_yaml(custom_resource_definition()), (
        "run `python -m pslgs_operator.crd > crds/splittrainingjobs.yaml`"
    )


def test_the_committed_reference_is_the_generated_one() -> None:
    assert REFERENCE.read_text() == as_markdown(custom_resource_definition()), (
        "run `python -m pslgs_operator.crd reference > docs/reference/fields.md`"
    )


def test_the_text_is_the_definition() -> None:
    assert yaml.safe_load(DEFINITION.read_text()) == custom_resource_definition()


@pytest.mark.parametrize(("path", "field"), FIELDS.items(), ids=FIELDS)
def test_each_field_is_described_as_in_the_parser(path: str, field: FieldInfo) -> None:
    described = schema_of(path)["description"]
    assert described.startswith(" ".join((field.description or "").split()))
    assert described.endswith(".")


@pytest.mark.parametrize(("path", "field"), FIELDS.items(), ids=FIELDS)
def test_each_field_has_the_parsers_default(path: str, field: FieldInfo) -> None:
    default = field.default
    if isinstance(default, BaseModel):
        default = default.model_dump(mode="json", by_alias=True)
    assert not field.is_required() or "default" not in schema_of(path)
    if not field.is_required():
        assert plain(schema_of(path).get("default")) == plain(default)


def test_each_field_is_for_the_containers_or_for_the_operator_alone() -> None:
    """A new field has to be put into one of the two lists; in neither, it would not reach the containers."""
    listed = (*RUNTIME_FIELDS, *OPERATOR_FIELDS)
    assert len(set(listed)) == len(listed)
    parents = {path.rpartition(".")[0] for path in listed} - {""}
    lost = [path for path in FIELDS if path not in parents and not is_within(f"spec.{path}", listed)]
    assert lost == []
    assert set(listed) <= set(FIELDS)


def plain(value: Any) -> Any:
    """Leave out what says nothing: a null, an empty list and an empty mapping mean an absent field."""
    if isinstance(value, dict):
        inner = {name: plain(each) for name, each in value.items()}
        return {name: each for name, each in inner.items() if each is not None} or None
    return (list(value) or None) if isinstance(value, tuple | list) else value


def test_no_field_is_there_that_the_parser_does_not_know() -> None:
    in_schema = {
        path.removeprefix("spec.").replace("[]", "") for path in NODES if path.startswith("spec.")
    } - {""}
    assert {path for path in in_schema if "{}" not in path} == set(FIELDS)


@pytest.mark.parametrize("path", [path for path in NODES if path.startswith("status")])
def test_each_field_of_the_status_is_described(path: str) -> None:
    assert path.endswith("[]") or NODES[path]["description"].endswith(".")


@pytest.mark.parametrize("path", NODES, ids=lambda path: path or "root")
def test_the_schema_is_structural(path: str) -> None:
    node = NODES[path]
    known = {"x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields"}
    assert ("type" in node) != bool(node.keys() & known) or node["type"] == "object"
    assert not {"$ref", "$defs", "anyOf", "title", "const", "examples"} & node.keys()
    assert not {"properties", "additionalProperties"} <= node.keys()
    assert set(node.get("required", ())) <= set(node.get("properties", ()))
    for bound in ("exclusiveMinimum", "exclusiveMaximum"):
        assert node.get(bound, True) is True


def test_no_status_field_is_a_float() -> None:
    assert not [path for path in NODES if path.startswith("status") and NODES[path]["type"] == "number"]


@pytest.mark.parametrize("column", VERSION["additionalPrinterColumns"], ids=lambda column: column["name"])
def test_each_column_prints_a_field_that_exists(column: dict[str, Any]) -> None:
    path = column["jsonPath"].removeprefix(".")
    assert path in NODES or path == "metadata.creationTimestamp"
