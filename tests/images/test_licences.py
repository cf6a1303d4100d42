"""No package that the project depends on, or is tested and built with, has a licence that is not allowed."""

from email.message import Message
from importlib.metadata import Distribution
from pathlib import Path

import pytest
from images.licences import ALLOWED, NVIDIA, UNKNOWN, is_allowed, licence_of, licences, main, pinned

ROOT = Path(__file__).parents[2]
REQUIREMENTS = sorted((ROOT / "requirements").glob("*.txt"))


class Package(Distribution):
    """A package that is known by its metadata."""

    def __init__(self, *fields: tuple[str, str]) -> None:
        self._fields = fields

    @property
    def metadata(self) -> Message:
        message = Message()
        for field, value in (("Name", "some-package"), ("Version", "1.0"), *self._fields):
            message[field] = value
        return message

    def read_text(self, _filename):
        return None

    def locate_file(self, path):
        raise NotImplementedError


def test_every_pinned_package_has_a_licence_that_is_allowed() -> None:
    found = licences(pinned(REQUIREMENTS))
    assert len(found) > 100
    assert [package for package in found if not is_allowed(package.licence)] == []


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        pytest.param([("License-Expression", "MIT AND Zlib")], "MIT AND Zlib", id="expression"),
        pytest.param([("License-Expression", NVIDIA)], NVIDIA, id="reference"),
        pytest.param([("License", "Apache 2.0")], "Apache-2.0", id="usual-spelling"),
        pytest.param([("License", "3-Clause BSD License")], "BSD-3-Clause", id="clauses"),
        pytest.param(
            [
                ("License", "Copyright (c) 2015\nAll"),
                ("Classifier", "License :: OSI Approved :: MIT License"),
            ],
            "MIT",
            id="whole-text-and-classifier",
        ),
        pytest.param([("License", "GPL-3.0-only")], "GPL-3.0-only", id="not-allowed"),
        pytest.param([("License", "be nice")], UNKNOWN, id="own-words"),
        pytest.param([("Classifier", "Programming Language :: Python")], UNKNOWN, id="nothing"),
    ],
)
def test_a_licence_is_read_from_the_metadata(fields, licence) -> None:
    assert licence_of(Package(*fields)) == licence


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("MIT", True),
        ("MIT AND Zlib", True),
        ("GPL-3.0-only OR Apache-2.0", True),
        ("MIT AND (GPL-3.0-only OR Apache-2.0)", True),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("GPL-3.0-only", False),
        ("MIT AND GPL-3.0-only", False),
        ("MIT AND (GPL-3.0-only OR AGPL-3.0-only)", False),
        ("GPL-2.0-only WITH Classpath-exception-2.0", False),
        (UNKNOWN, False),
    ],
    ids=str,
)
def test_one_of_alternatives_and_all_of_a_conjunction_must_be_allowed(licence, allowed) -> None:
    assert is_allowed(licence) == allowed


def test_no_allowed_licence_extends_to_the_code_of_users() -> None:
    assert not any(licence.startswith(("GPL", "AGPL", "LGPL", "SSPL", "BUSL")) for licence in ALLOWED)


def test_the_command_lists_packages_and_names_those_that_are_refused(tmp_path, capsys, monkeypatch) -> None:
    pins = tmp_path / "pins.txt"
    pins.write_text("typer==1\nnumpy==2 \\\n    --hash=sha256:0\nnot-installed==1\n")
    assert main([str(pins)]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["numpy", "typer"]
    monkeypatch.setattr("images.licences.ALLOWED", ALLOWED - {"0BSD"})
    assert main([str(pins)]) == 1
    assert capsys.readouterr().err.startswith("numpy: BSD-3-Clause AND 0BSD")
