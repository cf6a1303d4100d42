"""The contents of an image as an SBOM: a CycloneDX document in JSON.

    python -m images.sbom ROOT NAME VERSION >NAME.cdx.json

ROOT is the image's root file system, as ``buildah mount`` or ``docker export | tar -x`` give it.  Packages of
Python and Debian are listed with versions and licences.  The document's date is ``SOURCE_DATE_EPOCH``, so one
image gives one document.
"""

import os
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from email import message_from_string
from importlib.metadata import distributions
from pathlib import Path
from typing import Final
from uuid import UUID, uuid5

from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from images.licences import UNKNOWN, Licensed, licences
from packageurl import PackageURL

ENVIRONMENT: Final = "opt/pslgs"
"""Virtual environment of the images, below their root."""

_NAMESPACE: Final = UUID("6f0a1d5e-9c1b-4c68-8f5e-3b1f5c6c2a77")
_LICENCE_FIELD: Final = re.compile(r"^License: *(\S.*?) *$", re.M)
_COMMON_LICENCE: Final = re.compile(r"/usr/share/common-licenses/([\w.+-]*\w)")
"""How free text names a licence that many packages have, as Debian asks of it (policy, 12.5)."""


def describe(root: Path, name: str, version: str, date: datetime) -> str:
    """Return the SBOM of an image as JSON.

    Args:
        root: Root file system of the image.
        name: Name of the image.
        version: Its version.
        date: Date of the document.

    Raises:
        FileNotFoundError: there is no environment, or no list of Debian packages.
    """
    components = [*_python(root), *_debian(root)]
    listed = " ".join(str(component.purl) for component in components)
    image = Component(
        name=name, version=version, type=ComponentType.CONTAINER, bom_ref=f"pkg:oci/{name}@{version}"
    )
    bom = Bom(
        components=components,
        metadata=BomMetaData(component=image, timestamp=date),
        serial_number=uuid5(_NAMESPACE, f"{name} {version} {listed}"),
    )
    bom.register_dependency(image, components)
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def _python(root: Path) -> Iterator[Component]:
    """Yield the interpreter and the packages of the virtual environment."""
    settings = (root / ENVIRONMENT / "pyvenv.cfg").read_text("utf-8")
    (version,) = re.findall(r"^version = (\S+)$", settings, re.M)
    yield _component(
        Licensed("cpython", version, "PSF-2.0"), PackageURL("generic", name="cpython", version=version)
    )
    folders = sorted((root / ENVIRONMENT).glob("lib/python3*/site-packages"))
    for package in licences(distributions(path=[str(folder) for folder in folders])):
        yield _component(package, PackageURL("pypi", name=package.name, version=package.version))


def _component(package: Licensed, url: PackageURL) -> Component:
    return Component(
        name=package.name,
        version=package.version,
        purl=url,
        bom_ref=str(url),
        licenses=[] if package.licence == UNKNOWN else [LicenseExpression(package.licence)],
    )


def _debian(root: Path) -> Iterator[Component]:
    """Yield the installed packages of the base image, with the licences that their copyright files name."""
    distribution = _release(root)
    for stanza in (root / "var/lib/dpkg/status").read_text("utf-8").split("\n\n"):
        fields = message_from_string(stanza)
        if not str(fields["Status"]).endswith(" installed"):
            continue
        name, version = str(fields["Package"]), str(fields["Version"])
        url = PackageURL(
            *("deb", "debian", name, version),
            qualifiers={"arch": str(fields["Architecture"]), "distro": distribution},
        )
        yield Component(
            name=name,
            version=version,
            purl=url,
            bom_ref=str(url),
            licenses=[DisjunctiveLicense(name=each) for each in _debian_licences(root, name)],
        )


def _debian_licences(root: Path, package: str) -> list[str]:
    """Return names of licences, as Debian writes them; none where free text names none of the common ones."""
    file = root / "usr/share/doc" / package / "copyright"
    if not file.is_file():
        return []
    text = file.read_text("utf-8", errors="replace")
    return sorted(set(_LICENCE_FIELD.findall(text) or _COMMON_LICENCE.findall(text)))


def _release(root: Path) -> str:
    """Return a release such as ``debian-12``."""
    text = (root / "etc/os-release").read_text("utf-8")
    fields = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return "-".join(fields.get(key, "").strip('"') for key in ("ID", "VERSION_ID"))


def main(root: str, name: str, version: str) -> None:
    """Print the SBOM of an image."""
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    sys.stdout.write(describe(Path(root), name, version, datetime.fromtimestamp(epoch, UTC)))


if __name__ == "__main__":
    main(*sys.argv[1:])
