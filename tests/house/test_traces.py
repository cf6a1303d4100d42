import re
from pathlib import Path

import pytest

REGISTRY = re.compile(
    r"\b(?:pypi|pythonhosted|download\.pytorch|npmjs|crates|repo1\.maven|proxy\.golang)\.(?:org|io|com)\b"
    r"|index-url[ =]+\S+://"
    r"|\"resolved\": *\"http"
)
MACHINE = re.compile(r"(?<![\w.~*/-])/(?:root|work|Users)/[\w.]")


def found(pattern: re.Pattern[str], files: list[Path]) -> list[str]:
    return [
        f"{file}:{number}: {line.strip()}"
        for file in files
        for number, line in enumerate(file.read_text(errors="replace").splitlines(), start=1)
        if pattern.search(line)
    ]


def test_no_file_names_the_address_of_a_package_registry(files: list[Path]) -> None:
    assert found(REGISTRY, files) == []


def test_no_file_names_a_path_of_one_machine(files: list[Path], root: Path) -> None:
    assert found(MACHINE, files) == []
    if len(root.parts) > 2:
        assert found(re.compile(re.escape(str(root)) + r"\b"), files) == []


def test_no_lock_file_records_where_packages_come_from(files: list[Path]) -> None:
    locks = {"uv.lock", "poetry.lock", "Pipfile.lock", "package-lock.json", "yarn.lock"}
    assert [file for file in files if file.name in locks] == []


@pytest.mark.parametrize(
    ("pattern", "pieces"),
    [
        pytest.param(REGISTRY, ["https://", "pypi", ".", "org/simple"], id="registry"),
        pytest.param(REGISTRY, ["--extra-", "index-url", " https://", "host/simple"], id="index-option"),
        pytest.param(MACHINE, ["see ", "/", "root", "/.cache"], id="home"),
        pytest.param(MACHINE, ["path='", "/", "work", "/main'"], id="checkout"),
    ],
)
def test_such_a_trace_is_recognised(pattern: re.Pattern[str], pieces: list[str], tmp_path: Path) -> None:
    (tmp_path / "note.md").write_text("first line\n" + "".join(pieces) + "\n")
    assert len(found(pattern, [tmp_path / "note.md"])) == 1
