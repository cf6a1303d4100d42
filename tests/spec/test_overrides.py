"""Single values of a manifest are replaced by ``--set``."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pslgs.spec import InputError, load_job
from pslgs.spec.manifest import with_overrides


@pytest.mark.parametrize(
    ("document", "override", "result"),
    [
        pytest.param({"a": 1}, "a=2", {"a": 2}, id="value"),
        pytest.param({"a": {"b": 1, "c": 2}}, "a.b=3", {"a": {"b": 3, "c": 2}}, id="nested-value"),
        pytest.param({}, "a.b.c=1", {"a": {"b": {"c": 1}}}, id="missing-mappings-are-made"),
        pytest.param({"a": None}, "a.b=1", {"a": {"b": 1}}, id="empty-field-becomes-a-mapping"),
        pytest.param({"a": [{"b": 1}]}, "a.0.b=2", {"a": [{"b": 2}]}, id="index"),
        pytest.param({"a": [{"b": 1}]}, "a[0].b=2", {"a": [{"b": 2}]}, id="index-as-in-errors"),
        pytest.param({"a": [1]}, "a.1=2", {"a": [1, 2]}, id="append"),
        pytest.param({}, "a.0.b=2", {"a": [{"b": 2}]}, id="missing-list-is-made"),
        pytest.param({}, "a={b: [1, x]}", {"a": {"b": [1, "x"]}}, id="yaml-value"),
        pytest.param({}, "a=1e-3", {"a": 0.001}, id="number"),
        pytest.param({"a": 1}, "a=", {"a": None}, id="nothing-removes"),
        pytest.param({}, "a=b=c", {"a": "b=c"}, id="equals-sign-in-a-value"),
        pytest.param({}, r"a.pslgs\.dev/edge='true'", {"a": {"pslgs.dev/edge": "true"}}, id="dot-in-a-name"),
        pytest.param(None, "a=1", {"a": 1}, id="empty-document"),
    ],
)
def test_an_override_sets_one_value(document: object, override: str, result: object) -> None:
    assert with_overrides(document, [override]) == result


@pytest.mark.parametrize(
    ("document", "override", "path", "words"),
    [
        pytest.param({}, "spec.epochs", "--set", "must read path=value", id="no-value"),
        pytest.param({}, "=3", "--set", "must read path=value", id="no-path"),
        pytest.param({"a": 1}, "a.b=2", "a", "is 1, so b cannot be set in it", id="through-a-value"),
        pytest.param(
            {"a": [1]}, "a.2=2", "a", "is a list of 1, so 2 must be a number up to 1", id="past-the-end"
        ),
        pytest.param({"a": [1]}, "a.x=2", "a", "so x must be a number", id="name-in-a-list"),
        pytest.param({}, "a=[1", "a:1", "is not valid YAML", id="bad-value"),
    ],
)
def test_an_override_that_cannot_be_set_is_told(
    document: object, override: str, path: str, words: str
) -> None:
    with pytest.raises(InputError) as caught:
        with_overrides(document, [override])
    (only,) = caught.value.violations
    assert only.path == path
    assert words in only.problem


def test_the_last_of_two_overrides_wins() -> None:
    assert with_overrides({}, ["a=1", "a=2"]) == {"a": 2}


names = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=5).filter(
    lambda name: not name.isdecimal()
)


@given(path=st.lists(names, min_size=1, max_size=4), value=st.integers())
def test_what_is_set_is_found_and_the_document_is_left_alone(path: list[str], value: int) -> None:
    original: dict[str, Any] = {"kept": {"as": ["it", "is"]}}
    changed: Any = with_overrides(original, [f"new.{'.'.join(path)}={value}"])
    assert original == {"kept": {"as": ["it", "is"]}}
    assert changed["kept"] == original["kept"]
    found = changed["new"]
    for name in path:
        found = found[name]
    assert found == value


def test_a_manifest_is_judged_with_its_overrides(tmp_path: Path, manifest: dict[str, Any]) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(json.dumps(manifest))
    assert load_job(path, ["spec.epochs=7"]).spec.epochs == 7
    with pytest.raises(InputError, match=r"spec\.epochs: is 0, must be at least 1"):
        load_job(path, ["spec.epochs=0"])
