from collections import Counter
from pathlib import Path

import pytest

ATTICS = {"utils", "util", "common", "helpers", "helper", "misc"}
LONGEST_MODULE = 450
"""Lines."""


@pytest.mark.parametrize("folder", ["operator", "runtime", "tests", "tests/**"], ids=str)
def test_these_folders_are_no_packages(folder: str, root: Path) -> None:
    """Otherwise `operator/` hides Python's own module of that name."""
    assert list(root.glob(f"{folder}/__init__.py")) == []


def test_no_test_folder_is_called_operator(root: Path) -> None:
    assert not (root / "tests" / "operator").exists()


def test_no_module_is_an_attic(files: list[Path], root: Path) -> None:
    code = [file.relative_to(root) for file in files if file.suffix == ".py"]
    assert [file for file in code if ATTICS & {*file.parts, file.stem}] == []


def test_every_package_says_what_it_is(files: list[Path]) -> None:
    packages = [file for file in files if file.name == "__init__.py"]
    assert packages
    assert [file for file in packages if not file.read_text().startswith('"""')] == []


def test_names_of_test_modules_are_unique(files: list[Path]) -> None:
    names = Counter(file.name for file in files if file.match("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []


def test_code_carries_no_licence_headers(files: list[Path]) -> None:
    code = [file for file in files if file.suffix in {".py", ".proto"}]
    heads = {file: "\n".join(file.read_text().splitlines()[:5]).lower() for file in code}
    assert [file for file, head in heads.items() if "licensed under" in head or "copyright" in head] == []


def test_no_module_is_too_long_to_be_read_at_once(files: list[Path], root: Path) -> None:
    code = [root / "operator", root / "runtime"]
    lengths = {
        str(file.relative_to(root)): len(file.read_text().splitlines())
        for file in files
        if file.suffix == ".py" and "_pb2" not in file.name and {*code} & {*file.parents}
    }
    assert lengths
    assert {file: length for file, length in lengths.items() if length > LONGEST_MODULE} == {}
