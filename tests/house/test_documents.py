import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pslgs.spec import parse_job


def targets(root: Path) -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+):.*##", (root / "Makefile").read_text(), re.M))


def test_the_short_manifest_is_valid(root: Path) -> None:
    page = root / "docs" / "how-to" / "manifest.md"
    manifests = re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.M | re.S)
    jobs = [parse_job(yaml.safe_load(manifest)) for manifest in manifests]
    assert [job.spec.model.cut_layer for job in jobs] == ["layer1"]


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "docs/how-to/testing.md"], ids=str)
def test_every_make_command_of_a_document_exists(document: str, root: Path) -> None:
    named = re.findall(r"(?:^|`)make ([a-z0-9-]+)", (root / document).read_text(), re.M)
    assert set(named) - targets(root) == set()
    assert named


def test_make_alone_prints_every_target(root: Path) -> None:
    printed = subprocess.run(["make"], cwd=root, capture_output=True, text=True, check=True)
    assert set(re.findall(r"make ([a-z0-9-]+)", printed.stdout)) == targets(root)


def test_every_target_is_phony(root: Path) -> None:
    command = ["make", "--print-data-base", "--dry-run", "help"]
    printed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    phony = re.search(r"^\.PHONY: (.*)$", printed, re.M)
    assert phony is not None
    assert set(phony[1].split()) == targets(root)


def test_the_layers_of_the_architecture_are_those_that_are_checked(
    root: Path, pyproject: dict[str, Any]
) -> None:
    text = (root / "docs" / "explanation" / "architecture.md").read_text()
    table = text[text.index("| layer | contents |") : text.index("\n\n", text.index("| layer | contents |"))]
    written = [set(re.findall(r"`(\w+)`", row.split("|")[1])) for row in table.splitlines()[2:]]
    contract = next(each for each in pyproject["tool"]["importlinter"]["contracts"] if each["id"] == "floors")
    assert written == [set(layer.split(" | ")) for layer in contract["layers"]]


def test_every_promise_about_faults_names_a_test_that_exists(root: Path) -> None:
    promises = (root / "docs" / "reference" / "failure-modes.md").read_text().partition("## Processes")[2]
    rows = re.findall(r"^\| (?!---|fault )(.*?) \|.* \| (.*?) \|$", promises, re.M)
    assert len(rows) > 20
    assert [
        fault
        for fault, tests in rows
        for file, name in re.findall(r"`(\S+\.py)::(\w+)`", tests) or [("", "")]
        if not file or f"def {name}(" not in (root / "tests" / file).read_text()
    ] == []


def test_the_changelog_tells_of_the_version(root: Path, project: dict[str, Any]) -> None:
    headings = re.findall(r"^## (\S+)", (root / "CHANGELOG.md").read_text(), re.M)
    assert project["version"] in headings


def test_the_licence_is_whole(root: Path, project: dict[str, Any]) -> None:
    text = (root / "LICENSE").read_text()
    assert project["license"] == "Apache-2.0"
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
