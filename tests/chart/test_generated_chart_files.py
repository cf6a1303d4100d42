"""What follows from values.yaml, the CRD and the version of the project; `make verify` compares the files."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.testcluster.appimages import ROOT
from cluster.testcluster.helm import CHART


def test_the_definition_of_the_chart_is_that_of_the_repository() -> None:
    assert (CHART / "files/splittrainingjobs.yaml").read_text() == (
        ROOT / "crds/splittrainingjobs.yaml"
    ).read_text()


def test_the_chart_has_the_version_of_the_project(request: pytest.FixtureRequest) -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = (ROOT / "pyproject.toml").read_text()
    assert f'\nversion = "{chart["version"]}"\n' in project
    assert chart["appVersion"] == chart["version"]


def leaves(schema: dict[str, Any], path: str = "") -> list[tuple[str, dict[str, Any]]]:
    found = [(path, schema)]
    for name, inner in schema.get("properties", {}).items():
        found += leaves(inner, f"{path}.{name}") if "type" in inner else []
    return found


def test_every_value_is_described_and_every_object_says_what_may_be_in_it() -> None:
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    values = [(path, each) for path, each in leaves(schema) if path not in {"", ".global"}]
    assert len(values) > 50
    assert [path for path, each in values if not each["description"].endswith(".")] == []
    assert [
        path for path, each in values if each["type"] == "object" and "additionalProperties" not in each
    ] == []
    assert [path for path, each in values if each["type"] == "array" and "items" not in each] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("a: 1\n", "a has no comment; say above it what it is", id="no-comment"),
        pytest.param("# A.\na:\n  b: 1\n", "a.b has no comment; say above it what it is", id="inner-one"),
        pytest.param("# A.\na: {}\n", "a is empty; say by @keys or @schema what may be in it", id="open"),
        pytest.param("- 1\n", "there are no values", id="a-list"),
    ],
)
def test_a_value_that_is_not_explained_stops_the_generation(text: str, problem: str, tmp_path: Path) -> None:
    copy = tmp_path / "charts"
    (copy / "pslgs").mkdir(parents=True)
    (copy / "generate.py").write_text((ROOT / "charts" / "generate.py").read_text())
    (copy / "pslgs" / "values.yaml").write_text(text)
    done = subprocess.run([sys.executable, copy / "generate.py"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1].endswith(f"CommentError: {problem}")
