"""Names of modules in strings, which import-linter cannot see, follow the floors of imports, too."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUNTIME = ROOT / "runtime" / "pslgs"
MODULE = re.compile(r"pslgs\.([a-z_]+)[\w.]*")


def floors() -> dict[str, int]:
    """Return package -> its floor, the highest being 0."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(each["layers"] for each in contracts if each["id"] == "floors")
    return {name.strip(): i for i, layer in enumerate(layers) for name in re.split(r"[|:]", layer)}


def named_packages(source: str) -> list[str]:
    """Return the packages of pslgs that string constants name."""
    constants = (node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant))
    found = (MODULE.fullmatch(value) for value in constants if isinstance(value, str))
    return [match[1] for match in found if match]


@pytest.mark.parametrize("package", sorted(floors()))
def test_no_string_names_a_module_of_a_higher_floor(package):
    floor = floors()
    files = [*(RUNTIME / package).rglob("*.py"), *RUNTIME.glob(f"{package}.py")]
    assert files
    upwards = {
        f"{file.relative_to(ROOT)} names pslgs.{name}"
        for file in files
        for name in named_packages(file.read_text(encoding="utf-8"))
        if floor.get(name, len(floor)) < floor[package]
    }
    assert not upwards


def test_a_module_that_is_imported_by_name_is_found():
    assert named_packages('import_module("pslgs.cli.main").main()') == ["cli"]
