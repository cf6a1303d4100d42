"""Manifests are read as kubectl reads them, and what cannot be read is told with its line."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pslgs.spec import InputError, Violation, load_job, parse_job
from pslgs.spec.manifest import parse_yaml

EXAMPLES = sorted(Path(__file__).parents[2].glob("examples/*.yaml"))


def violation(path: Path) -> Violation:
    with pytest.raises(InputError) as caught:
        load_job(path)
    (only,) = caught.value.violations
    return only


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("1e-3", 0.001, id="exponent-without-a-point"),
        pytest.param("1.5E+2", 150.0, id="exponent"),
        pytest.param("12:30:15", "12:30:15", id="time-of-day"),
        pytest.param("2026-01-31", "2026-01-31", id="date"),
        pytest.param("None", "None", id="none-is-text"),
        pytest.param("null", None, id="null"),
        pytest.param("1_000", 1000, id="underscore"),
        pytest.param("0x10", 16, id="hexadecimal"),
        pytest.param("010", 8, id="octal"),
        pytest.param("0x_", "0x_", id="hexadecimal-without-digits"),
        pytest.param("0b__", "0b__", id="binary-without-digits"),
        pytest.param("0b_1", 1, id="binary"),
        pytest.param("-3", -3, id="negative"),
        pytest.param(".5", 0.5, id="leading-point"),
        pytest.param("yes", True, id="yes"),
        pytest.param("1.2.3", "1.2.3", id="version"),
        pytest.param("'3'", "3", id="quoted"),
    ],
)
def test_a_scalar_is_what_the_api_server_takes_it_for(text: str, value: object) -> None:
    parsed = parse_yaml(text, "here")
    assert parsed == value
    assert type(parsed) is type(value)


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**63))
def test_a_number_survives_json_and_yaml(number: float) -> None:
    parsed = parse_yaml(repr(number), "here")
    assert parsed == number
    assert type(parsed) is type(number)


DOUBLED = "x0: &x0 [1, 2]\n" + "".join(f"x{i}: &x{i} [*x{i - 1}, *x{i - 1}]\n" for i in range(1, 26))


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        pytest.param("a: 1\nb: [1,\nc: 2\n", 4, "that begins in line 2", id="open-list"),
        pytest.param("a: 1\nb:\n  c: 1\n  c: 2\n", 4, "c is given twice", id="field-twice"),
        pytest.param("a: 1\n3: 2\n", 2, "must be text (quote it)", id="number-as-name"),
        pytest.param("a: 1\n? [x]\n: 2\n", 2, "must be text (quote it)", id="list-as-name"),
        pytest.param(
            "a: !!python/object:os.system {}\n", 1, "could not determine a constructor", id="python-object"
        ),
        pytest.param("a: *b\n", 1, "undefined alias", id="unknown-alias"),
        pytest.param("a: 1\nb: &b [*b]\n", 2, "what it is a part of", id="alias-of-itself"),
        pytest.param(DOUBLED, 19, "stand for more than 1,000,000 values", id="aliases-that-double"),
        pytest.param('a: "\\ud800"\n', 1, "cannot be read as str", id="half-of-a-character"),
        pytest.param("a: 1\nb: " + "1" * 5000 + "\n", 2, "cannot be read as int", id="long-number"),
        pytest.param("a: 1\nb: !!int x\n", 2, "cannot be read as int (quote it", id="no-integer"),
        pytest.param("a: !!bool x\n", 1, "cannot be read as bool", id="no-truth-value"),
        pytest.param("a: !!timestamp x\n", 1, "cannot be read as timestamp", id="no-time"),
        pytest.param("a:\n  " + "[" * 1000, 2, "nested more than 64 levels deep", id="deep-list"),
        pytest.param("\n".join(" " * n + "a:" for n in range(200)), 64, "nested more", id="deep-mapping"),
    ],
)
def test_bad_yaml_is_told_with_its_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(text)
    told = violation(path)
    assert told.path == f"{path}:{line}"
    assert words in told.problem


def test_a_merged_field_may_be_given_again() -> None:
    text = """
        base: &base {a: 1, b: 2}
        other: {<<: *base, b: 3}
        third: &third {<<: *base, a: 5}
        last: {<<: *third, a: 6}
    """
    assert parse_yaml(text, "here") == {
        "base": {"a": 1, "b": 2},
        "other": {"a": 1, "b": 3},
        "third": {"a": 5, "b": 2},
        "last": {"a": 6, "b": 2},
    }


def test_a_missing_file_is_told() -> None:
    assert violation(Path("no/such/job.yaml")) == Violation(
        "no/such/job.yaml", "cannot be read: No such file or directory"
    )


def test_a_folder_is_no_manifest(tmp_path: Path) -> None:
    assert violation(tmp_path).problem == "cannot be read: Is a directory"


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"a: \x07\n"], ids=["not-utf-8", "control-character"])
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "job.yaml"
    path.write_bytes(content)
    assert violation(path).path == str(path)


def test_several_documents_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text("a: 1\n---\nb: 1\n")
    assert violation(path) == Violation(str(path), "holds 2 documents; give one manifest per file")


def test_the_deepest_manifest_that_is_read_is_deeper_than_any_needs_to_be() -> None:
    assert parse_yaml("[" * 64 + "]" * 64, "here")


def test_separators_around_one_document_are_fine() -> None:
    assert parse_yaml("---\na: 1\n---\n", "here") == {"a": 1}


def test_an_empty_file_says_what_it_should_hold(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text("# nothing yet\n")
    assert "must be a mapping with apiVersion" in violation(path).problem


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_valid_and_survives_a_round_trip(path: Path) -> None:
    job = load_job(path)
    assert parse_job(job.model_dump(mode="json", by_alias=True)) == job
    assert parse_job(yaml.safe_load(yaml.safe_dump(job.model_dump(mode="json", by_alias=True)))) == job


def test_there_are_examples() -> None:
    assert {"cifar10", "digits"} < {path.stem for path in EXAMPLES}
