"""Which files are images: by their suffix, or else by the first bytes of their content."""

import re
from pathlib import Path
from typing import Final

_SUFFIXES: Final = frozenset(
    {
        *(".apng", ".avif", ".bmp", ".dib", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".jpx"),
        *(".mpo", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp"),
        *(".dcm", ".dicom", ".nii"),
    }
)
"""Suffixes, in lower case, of files that are images: one that cannot be decoded is damaged."""

_RAW_SUFFIXES: Final = frozenset(
    {".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".pef", ".raf", ".rw2", ".srw"}
)
"""Raw images of cameras, which begin like TIFF files but would be decoded to their small previews."""

_HEIC_SUFFIXES: Final = frozenset({".heic", ".heics", ".heif", ".heifs", ".hif"})
_HEIC: Final = re.compile(rb".{4}ftyp(?:hei[cmsx]|hev[cmsx]|mif1|msf1)", re.DOTALL)
"""The first bytes of HEIC and HEIF images: a box with their brand (ISO/IEC 23008-12)."""

_SIGNATURE: Final = re.compile(
    rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|BM.{4}\0{4}|II[*+]\0|MM\0[*+]|RIFF.{4}WEBP"
    rb"|\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51|.{4}ftyp(?:avif|avis)|P[1-6]\s+(?:#[^\n]*\n\s*)*\d+\s",
    re.DOTALL,
)
_DICOM_MAGIC: Final = slice(128, 132)
_NIFTI_MAGICS: Final = {1: (slice(344, 348), b"n+1\0"), 2: (slice(4, 8), b"n+2\0")}
_HEAD_BYTES: Final = 352


def is_image(path: Path) -> bool:
    """Return whether a file is an image, by its suffix or else by the first bytes of its content."""
    suffix = path.suffix.lower()
    if path.name.lower().endswith(".nii.gz"):
        return True
    if suffix in _SUFFIXES or suffix in _RAW_SUFFIXES or suffix in _HEIC_SUFFIXES:
        return suffix in _SUFFIXES
    head = _head_of(path)
    return _SIGNATURE.match(head) is not None or is_dicom(head) or nifti_version(head) is not None


def is_heic(head: bytes) -> bool:
    """Return whether a file begins as a HEIC image, which Pillow cannot decode."""
    return _HEIC.match(head) is not None


def is_unsupported_image(path: Path) -> bool:
    """Return whether a file is an image of a format that cannot be decoded."""
    return path.suffix.lower() in _RAW_SUFFIXES | _HEIC_SUFFIXES or is_heic(_head_of(path))


def is_dicom(head: bytes) -> bool:
    """Return whether a file that begins with these bytes, at least 132, is DICOM."""
    return head[_DICOM_MAGIC] == b"DICM"


def nifti_version(head: bytes) -> int | None:
    """Return the version of an uncompressed NIfTI file with these first bytes, at least 348; else None."""
    return next((version for version, (where, magic) in _NIFTI_MAGICS.items() if head[where] == magic), None)


def _head_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES)
    except OSError:
        return b""
