"""Licences of the Python packages in an environment, and whether they are allowed.

    python -m images.licences [FILE OF REQUIREMENTS …]

prints the licence of each installed package that the files pin, and exits with 1 if one is not allowed.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any, Final, NamedTuple

from license_expression import (
    ExpressionError,
    LicenseSymbol,
    LicenseWithExceptionSymbol,
    get_spdx_licensing,
)
from packaging.utils import canonicalize_name

ALLOWED: Final = frozenset(
    {
        *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "CNRI-Python", "ISC"),
        *("LLVM-exception", "MIT", "MIT-0", "MIT-CMU", "MPL-2.0", "PSF-2.0", "Python-2.0", "Zlib"),
        # CUDA's libraries may be redistributed with an application, by the terms that they contain.
        "LicenseRef-NVIDIA-Proprietary",
    }
)
"""Licences, as in the SPDX list: they ask for a notice, or (MPL-2.0) for the source of their changed files.

None of them extends to the code of users.
"""

UNKNOWN: Final = "NOASSERTION"
NVIDIA: Final = "LicenseRef-NVIDIA-Proprietary"

_OF_PACKAGES: Final[Mapping[str, str]] = {
    "atheris": "Apache-2.0",  # only its file LICENSE says so
    "cuda-toolkit": NVIDIA,  # has no files but the names of the other packages
    "kiwisolver": "BSD-3-Clause",
    "matplotlib": "PSF-2.0",  # a licence of its own, with the terms of Python's
    "requests-oauthlib": "ISC",  # its classifier says BSD, its file LICENSE and its field ISC
    "tqdm": "MPL-2.0 AND MIT",
}
"""Licences of packages whose metadata give a text, or contradict themselves."""

_SPELLINGS: Final = (
    ("Apache-2.0", r"apache( software)?( license)?[ ,-]*(v|version )?(2(\.0)?)?( license)?"),
    ("MIT", r"mit( license| style)?"),
    ("BSD-2-Clause", r"(simplified|bsd.?2.?clause|2.?clause bsd)( license)?"),
    ("BSD-3-Clause", r"(new |modified )?bsd( license)?|(bsd.?3.?clause|3.?clause bsd)( license)?"),
    ("ISC", r"isc( license)?( \(iscl\))?"),
    ("MPL-2.0", r"mozilla public license 2\.0 \(mpl 2\.0\)"),
    ("PSF-2.0", r"python software foundation license|psf(-2\.0)?"),
    (NVIDIA, r"nvidia proprietary software"),
)
_SPDX: Final = get_spdx_licensing()
_PIN: Final = re.compile(r"^([A-Za-z0-9._-]+)==", re.M)


class Licensed(NamedTuple):
    """A package with its licence, an SPDX expression or `UNKNOWN`."""

    name: str
    version: str
    licence: str


def licence_of(package: Distribution) -> str:
    """Return the licence of a package as an SPDX expression; `UNKNOWN` if its metadata don't tell."""
    metadata, name = package.metadata, canonicalize_name(package.metadata["Name"])
    if name in _OF_PACKAGES:
        return _OF_PACKAGES[name]
    classifiers = [each for each in metadata.get_all("Classifier") or () if each.startswith("License ::")]
    told = (
        *(metadata[field] for field in ("License-Expression", "License") if field in metadata),
        *(each.rpartition(" :: ")[2] for each in classifiers),
    )
    return next((found for text in told if text and (found := _expression(text.strip()))), UNKNOWN)


def _expression(text: str) -> str | None:
    """Return an SPDX expression for what a package says; None if it is a whole text, or not known."""
    plain = text.lower()
    for licence, pattern in _SPELLINGS:
        if re.fullmatch(pattern, plain):
            return licence
    try:
        unknown = _SPDX.unknown_license_keys(text)
    except ExpressionError:
        return None
    return text if all(each.startswith("LicenseRef-") for each in unknown) else None


def is_allowed(licence: str) -> bool:
    """Return whether an SPDX expression leaves a choice of licences that are all allowed."""
    return _is_allowed(_SPDX.parse(licence))


def _is_allowed(node: Any) -> bool:  # noqa: ANN401 - the library has no types
    if isinstance(node, LicenseSymbol):
        return node.key in ALLOWED
    if isinstance(node, LicenseWithExceptionSymbol):
        return _is_allowed(node.license_symbol) and _is_allowed(node.exception_symbol)
    return (any if isinstance(node, _SPDX.OR) else all)(map(_is_allowed, node.args))


def licences(packages: Iterable[Distribution]) -> list[Licensed]:
    """Return packages with their licences, in the order of their names."""
    found = {
        canonicalize_name(each.metadata["Name"]): Licensed(
            each.metadata["Name"], each.version, licence_of(each)
        )
        for each in packages
    }
    return [licensed for _, licensed in sorted(found.items())]


def pinned(files: Iterable[Path]) -> Iterator[Distribution]:
    """Yield the installed packages that files of requirements pin; those of other systems are not."""
    names = {canonicalize_name(name) for file in files for name in _PIN.findall(file.read_text("utf-8"))}
    return (each for each in distributions() if canonicalize_name(each.metadata["Name"]) in names)


def main(files: Sequence[str]) -> int:
    """Print the licences; return 1 if one is not allowed."""
    found = licences(pinned(map(Path, files)))
    for package in found:
        sys.stdout.write(f"{package.name:<32}{package.version:<24}{package.licence}\n")
    refused = [package for package in found if not is_allowed(package.licence)]
    for package in refused:
        sys.stderr.write(f"{package.name}: {package.licence} is not in ALLOWED of images/licences.py\n")
    return int(bool(refused))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
