"""Manifests of another version: which fields the containers get, and what becomes of unknown ones."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pslgs.spec import InputError, parse_job
from pslgs.spec.compatibility import (
    RUNTIME_FIELDS,
    is_within,
    load_runtime_job,
    parse_known_fields,
    runtime_manifest,
)
from pslgs.spec.definition import DEFINING_FIELDS
from pslgs.spec.manifest import with_overrides


def newer(manifest: dict[str, Any], *settings: str) -> Any:
    return with_overrides(manifest, settings)


def test_unknown_fields_are_set_aside_with_their_values(manifest: dict[str, Any]) -> None:
    given = newer(manifest, "spec.new={a: [1]}", "spec.optimizer.new=2")
    known = parse_known_fields(given)
    assert known.job == parse_job(manifest)
    assert dict(zip(known.unknown_paths, known.unknown.values(), strict=True)) == {
        "spec.new": {"a": [1]},
        "spec.optimizer.new": 2,
    }


def test_the_document_itself_is_left_as_it_is(manifest: dict[str, Any]) -> None:
    given = newer(manifest, "spec.optimizer.new=2")
    parse_known_fields(given)
    assert given["spec"]["optimizer"] == {"new": 2}


def test_other_violations_are_reported(manifest: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"^spec.epochs: is 0, must be at least 1$"):
        parse_known_fields(newer(manifest, "spec.new=1", "spec.epochs=0"))


def test_a_manifest_without_them_is_parsed_as_always(manifest: dict[str, Any]) -> None:
    known = parse_known_fields(manifest)
    assert (known.job, known.unknown) == (parse_job(manifest), {})


def test_the_containers_get_all_fields_that_define_a_training() -> None:
    assert all(is_within(f"spec.{path}", RUNTIME_FIELDS) for path in DEFINING_FIELDS)


def test_the_containers_get_no_defaults(manifest: dict[str, Any]) -> None:
    rendered = runtime_manifest(parse_known_fields(manifest))["spec"]
    assert {name: value for name, value in rendered.items() if value != {}} == manifest["spec"]


class TestAContainer:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        return tmp_path / "job.yaml"

    def test_ignores_fields_that_do_not_define_the_training(
        self, manifest: dict[str, Any], file: Path
    ) -> None:
        file.write_text(yaml.safe_dump(newer(manifest, "spec.faultTolerance.new=1", "spec.new=2")))
        job, ignored = load_runtime_job(file, (), DEFINING_FIELDS)
        assert job == parse_job(manifest)
        assert set(ignored) == {"spec.faultTolerance.new", "spec.new"}

    @pytest.mark.parametrize("path", ["spec.optimizer.new", "spec.data.train.new", "spec.brandNew"])
    def test_refuses_those_that_the_operator_says_define_it(
        self, path: str, manifest: dict[str, Any], file: Path
    ) -> None:
        file.write_text(yaml.safe_dump(newer(manifest, f"{path}=1")))
        with pytest.raises(
            InputError, match=f"^{path}: is unknown to this image .pslgs .*use an image of the"
        ):
            load_runtime_job(file, (), (*DEFINING_FIELDS, "brandNew"))

    def test_does_not_mistake_a_field_for_one_whose_name_begins_like_it(
        self, manifest: dict[str, Any], file: Path
    ) -> None:
        file.write_text(yaml.safe_dump(newer(manifest, "spec.lossesToPrint=1")))
        assert load_runtime_job(file, (), DEFINING_FIELDS)[1] == ("spec.lossesToPrint",)
