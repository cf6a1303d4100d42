"""The SBOM of an image lists the packages of Python and Debian in its file system."""

import json
from datetime import UTC, datetime

import pytest
from images.sbom import describe

STATUS = """Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9+deb12u10
Description: GNU C Library
 Contains the standard libraries.
 .
 More text.

Package: removed
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: tzdata
Status: install ok installed
Architecture: all
Version: 2026a-0+deb12u1

Package: base-files
Status: install ok installed
Architecture: amd64
Version: 12.4
"""
COPYRIGHT = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
License: LGPL-2.1+

Files: other
License: BSD-3-Clause
 Redistribution and use
"""
FREE_TEXT = """This is the Debian prepackaged version of the Debian Base System Miscellaneous files.

See `/usr/share/common-licenses/GPL-2' and /usr/share/common-licenses/LGPL-2.1.
"""


@pytest.fixture
def root(tmp_path):
    def write(path: str, text: str) -> None:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)

    write("etc/os-release", 'NAME="Debian GNU/Linux"\nVERSION_ID="12"\nID=debian\n')
    write("var/lib/dpkg/status", STATUS)
    write("usr/share/doc/libc6/copyright", COPYRIGHT)
    write("usr/share/doc/base-files/copyright", FREE_TEXT)
    write("opt/pslgs/pyvenv.cfg", "home = /usr/bin\nversion = 3.11.2\n")
    packages = "opt/pslgs/lib/python3.11/site-packages"
    write(f"{packages}/torch-2.15.0.dist-info/METADATA", "Name: torch\nVersion: 2.15.0\nLicense: BSD\n")
    write(f"{packages}/own-1.dist-info/METADATA", "Name: own\nVersion: 1\nLicense: be nice\n")
    return tmp_path


def document(root) -> dict:
    return json.loads(describe(root, "pslgs-runtime", "0.1.0", datetime(2026, 1, 2, tzinfo=UTC)))


def test_it_names_each_package_with_its_version(root):
    found = {component["purl"] for component in document(root)["components"]}
    assert found == {
        "pkg:deb/debian/base-files@12.4?arch=amd64&distro=debian-12",
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u10?arch=amd64&distro=debian-12",
        "pkg:deb/debian/tzdata@2026a-0%2Bdeb12u1?arch=all&distro=debian-12",
        "pkg:generic/cpython@3.11.2",
        "pkg:pypi/own@1",
        "pkg:pypi/torch@2.15.0",
    }


def test_it_names_the_licences_that_are_known(root):
    licences = {component["name"]: component.get("licenses") for component in document(root)["components"]}
    assert licences == {
        "base-files": [{"license": {"name": "GPL-2"}}, {"license": {"name": "LGPL-2.1"}}],
        "cpython": [{"expression": "PSF-2.0"}],
        "libc6": [{"license": {"name": "BSD-3-Clause"}}, {"license": {"name": "LGPL-2.1+"}}],
        "own": None,
        "torch": [{"expression": "BSD-3-Clause"}],
        "tzdata": None,
    }


def test_it_is_a_document_of_the_image_that_depends_on_all_of_them(root):
    sbom = document(root)
    assert (sbom["bomFormat"], sbom["specVersion"]) == ("CycloneDX", "1.6")
    assert sbom["metadata"]["timestamp"] == "2026-01-02T00:00:00+00:00"
    image = sbom["metadata"]["component"]
    assert (image["type"], image["name"], image["version"]) == ("container", "pslgs-runtime", "0.1.0")
    needed = {each["ref"]: set(each.get("dependsOn", ())) for each in sbom["dependencies"]}
    assert needed[image["bom-ref"]] == {component["bom-ref"] for component in sbom["components"]}


def test_the_same_image_gives_the_same_document(root):
    first = document(root)
    assert document(root) == first
    (root / "opt/pslgs/lib/python3.11/site-packages/own-1.dist-info/METADATA").write_text(
        "Name: own\nVersion: 2"
    )
    assert document(root)["serialNumber"] != first["serialNumber"]


def test_an_image_without_an_environment_is_no_image_of_these(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"pyvenv\.cfg"):
        describe(tmp_path, "other", "1", datetime(2026, 1, 2, tzinfo=UTC))
