import re
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HASHES = r"(?:\n    --hash=sha256:\w{64}(?: \\)?)+"
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;]+)[^\\]*\\" + HASHES, re.M)
FILES = ["build", "dev", "fuzz", "operator", "runtime"]
PEERS = "../benchmarks/peers/requirements"
"""Pins of an environment of its own, whose versions differ."""


def pins(root: Path, file: str) -> dict[str, str]:
    text = (root / "requirements" / f"{file}.txt").read_text()
    return {canonicalize_name(pin["name"]): pin["version"] for pin in PIN.finditer(text)}


def unmet(wanted: list[str], pinned: dict[str, str]) -> list[str]:
    requirements = {text: Requirement(text) for text in wanted}
    versions = {text: pinned.get(canonicalize_name(one.name)) for text, one in requirements.items()}
    return [
        text
        for text, version in versions.items()
        if not (version and version in requirements[text].specifier)
    ]


@pytest.mark.parametrize("file", [*FILES, PEERS], ids=str)
def test_a_requirements_file_is_pins_with_hashes_and_nothing_else(file: str, root: Path) -> None:
    text = (root / "requirements" / f"{file}.txt").read_text()
    assert pins(root, file)
    assert PIN.sub("", text).strip() == ""


@pytest.mark.parametrize("file", FILES, ids=str)
def test_a_package_has_one_version_in_all_files(file: str, root: Path) -> None:
    pinned, everything = pins(root, file), pins(root, "dev")
    differing = {name for name in pinned.keys() & everything.keys() if pinned[name] != everything[name]}
    assert differing == set()


@pytest.mark.parametrize(
    ("file", "extras"),
    [
        pytest.param("runtime", ["runtime"], id="runtime"),
        pytest.param("operator", ["operator"], id="operator"),
        pytest.param("dev", ["runtime", "operator", "dev"], id="dev"),
    ],
)
def test_the_pins_cover_what_the_project_depends_on(
    file: str, extras: list[str], root: Path, project: dict[str, Any]
) -> None:
    wanted = [
        *project["dependencies"],
        *(item for extra in extras for item in project["optional-dependencies"][extra]),
    ]
    assert unmet(wanted, pins(root, file)) == []


def test_the_pins_cover_what_the_build_needs(root: Path, pyproject: dict[str, Any]) -> None:
    wanted = [*pyproject["build-system"]["requires"], *pyproject["dependency-groups"]["build"]]
    assert unmet(wanted, pins(root, "build")) == []


def test_the_pins_cover_what_fuzzing_needs(root: Path, pyproject: dict[str, Any]) -> None:
    assert unmet(pyproject["dependency-groups"]["fuzz"], pins(root, "fuzz")) == []


def test_the_pins_cover_the_peers(root: Path, pyproject: dict[str, Any]) -> None:
    assert unmet(pyproject["dependency-groups"]["peers"], pins(root, PEERS)) == []


def test_a_missing_or_older_pin_is_noticed() -> None:
    assert unmet(["numpy>=2.1", "rich>=14", "torch"], {"numpy": "2.0", "rich": "14.1"}) == [
        "numpy>=2.1",
        "torch",
    ]


def test_the_operator_needs_neither_torch_nor_numpy(root: Path) -> None:
    assert pins(root, "operator").keys() & {"torch", "torchvision", "numpy", "grpcio"} == set()
