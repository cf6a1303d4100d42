"""What is wrong with a manifest is said with its path and in people's words."""

from typing import Any

import pytest

from pslgs.spec import InputError, Violation, parse_job
from pslgs.spec.manifest import with_overrides
from spec.bad_manifests import ALL, Bad


def violations(document: object) -> tuple[Violation, ...]:
    with pytest.raises(InputError) as caught:
        parse_job(document)
    return caught.value.violations


@pytest.mark.parametrize("bad", ALL, ids=lambda bad: bad.name.replace(" ", "-"))
def test_a_bad_manifest_is_refused_with_path_and_words(bad: Bad, manifest: dict[str, Any]) -> None:
    found = violations(with_overrides(manifest, bad.settings))
    assert bad.path in [each.path for each in found]
    assert bad.words in next(each.problem for each in found if each.path == bad.path)
    assert len({each.path for each in found}) == 1 or bad.path == "spec.epoch"


@pytest.mark.parametrize("bad", ALL, ids=lambda bad: bad.name.replace(" ", "-"))
def test_words_are_not_those_of_the_validation_library(bad: Bad, manifest: dict[str, Any]) -> None:
    for each in violations(with_overrides(manifest, bad.settings)):
        assert "nput should" not in each.problem
        assert "\n" not in str(each)


def test_all_violations_are_told_at_once(manifest: dict[str, Any]) -> None:
    everywhere = ["spec.epochs=0", "spec.optimizer.name=sgd", "spec.data.train.path=x", "metadata.name=A"]
    found = violations(with_overrides(manifest, everywhere))
    assert [each.path for each in found] == [
        "metadata.name",
        "spec.data.train.path",
        "spec.epochs",
        "spec.optimizer.name",
    ]


def test_another_kind_of_object_is_not_judged_further() -> None:
    found = violations({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": []}})
    assert [each.path for each in found] == ["apiVersion", "kind"]


@pytest.mark.parametrize("document", [None, [], "text", 3], ids=["nothing", "list", "text", "number"])
def test_a_document_that_is_no_mapping_is_refused(document: object) -> None:
    (only,) = violations(document)
    assert "must be a mapping with apiVersion, kind, metadata and spec" in only.problem


def test_a_long_value_is_shown_in_part(manifest: dict[str, Any]) -> None:
    (only,) = violations(with_overrides(manifest, ["spec.epochs=" + "a" * 500]))
    assert len(only.problem) < 120
