"""What a release is made of agrees: versions, workflows and the targets of `make` that they call."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml


@pytest.fixture(scope="module")
def version(root: Path) -> str:
    found: str = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    return found


def test_chart_and_citation_have_the_version_of_the_package(version: str, root: Path) -> None:
    chart = yaml.safe_load((root / "charts" / "pslgs" / "Chart.yaml").read_text())
    citation = yaml.safe_load((root / "CITATION.cff").read_text())
    assert chart["version"] == chart["appVersion"] == citation["version"] == version


def test_the_change_log_begins_with_that_version(version: str, root: Path) -> None:
    newest = re.search(r"^## (\S+)", (root / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == version


def test_workflows_call_targets_of_make(root: Path) -> None:
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", (root / "Makefile").read_text(), re.MULTILINE))
    called: set[str] = set()
    for file in (root / ".github" / "workflows").glob("*.yml"):
        for line in re.findall(r"\bmake ((?:--silent |[a-z][a-z0-9-]*\b ?)+)", file.read_text()):
            called |= {word for word in line.split() if not word.startswith("-")}
    assert {"dist", "images", "e2e", "soak"} <= called <= targets


def test_configurations_of_other_tools_are_well_formed(root: Path) -> None:
    json.loads((root / ".devcontainer" / "devcontainer.json").read_text())
    hooks = yaml.safe_load((root / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert {hook["entry"].split()[0] for hook in hooks} <= {".venv/bin/ruff", ".venv/bin/lint-imports"}
    for file in (root / ".github").rglob("*.yml"):
        assert yaml.safe_load(file.read_text()), file
