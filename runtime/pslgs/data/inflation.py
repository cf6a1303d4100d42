"""Limits for compressed data, which may take far more memory than their files say."""

import os
import zlib
from pathlib import Path
from typing import Final

IMAGE_PIXELS: Final = 2**27
"""Maximum number of pixels of an image; with three channels in float32, that is 1.5 GiB."""

INFLATED_BYTES: Final = 2**31
"""Maximum size of one decompressed file of a sample."""

_GZIP: Final = 16 + zlib.MAX_WBITS
_CONTAINER_LIMIT: Final = Path("/sys/fs/cgroup/memory.max")


def memory_bytes() -> int:
    """Return the memory of this machine, or of its container if that has less."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(machine, int(_CONTAINER_LIMIT.read_text(encoding="ascii")))
    except (OSError, ValueError):  # there is no container, or it has no limit
        return machine


def inflate(data: bytes, limit: int = INFLATED_BYTES) -> bytes:
    """Decompress the content of a gzip file.

    Raises:
        ValueError: it is damaged, or has more than ``limit`` bytes.
    """
    members: list[bytes] = []
    left = limit
    while data:
        member = zlib.decompressobj(_GZIP)
        try:
            members.append(member.decompress(data, left + 1))
        except zlib.error as error:
            raise ValueError(f"it cannot be decompressed ({error})") from error
        left -= len(members[-1])
        if left < 0:
            raise ValueError(f"it has more than {limit:,} bytes when it is decompressed")
        if not member.eof:
            raise ValueError("it cannot be decompressed (its end is missing)")
        data = member.unused_data.lstrip(b"\0")
    return b"".join(members)
